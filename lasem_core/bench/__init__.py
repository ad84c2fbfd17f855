"""What LASEM costs on this machine: one step (`steps`, beside its `rooflines`), its `parts`, a whole task
(`whole_run`), and the `tables` of docs/speed.md.

Must not know views or the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lasem_core.common.errors import LasemError
from lasem_core.spec.run_spec import RunSpec, build_spec

SETTINGS: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "cifar100": ({"dataset": "cifar100"}, (3, 32, 32)),
    "stl10": ({"dataset": "stl10"}, (3, 96, 96)),
    "stl10-9": ({"dataset": "stl10-group"}, (3, 96, 96)),
}
SEARCH = {"stl10-9": {"em.groups": ""}}  # settings of the methods that search
BASES = ("hps", "tf", "df-cnn")
Call = Callable[[], object]  # what is timed


def spec_of(setting: str, base: str, threads: int, prune: str = "off", **options: Any) -> RunSpec:
    """The specification of one measured learner; LasemError for a setting that is not in SETTINGS.

    Arguments: options, `method`, `profile`, `precision` as `lasem train` has them.
    """
    if setting not in SETTINGS:
        raise LasemError(f"setting '{setting}' is not benchmarked; choose one of: {', '.join(SETTINGS)}")
    data_set, _ = SETTINGS[setting]
    settings = {"em.prune": prune} | (SEARCH.get(setting, {}) if options.get("method", "lasem") == "lasem" else {})
    return build_spec(data_set | {"base": base, "threads": threads} | options, settings)
