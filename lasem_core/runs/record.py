"""A finished run: reproducible results (bit-identical on rerun) and measurements."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lasem_core.spec.command_line import CHOICES
from lasem_core.spec.run_spec import RunSpec

TABLES = ("history", "posterior", "accuracy")
RESULTS = ("peak_at_best_valid", "peak_test", "final_accuracy", "forgetting_ratio", "configs")
MEASUREMENTS = ("train_seconds", "eval_seconds", "peak_rss_mb")
ROW = ("run_id", *CHOICES, *RESULTS, *MEASUREMENTS, "n_tasks", "epochs")


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    Attributes:
        run_id: the name of its folder, see `RunSpec.run_id`.
        spec: everything that decided the numbers.
        fingerprint: hash of the data it saw.
        summary: flat results and `configs`, one bit string per task; part of the identical part.
        measured: seconds, memory, host, library and code versions.
        tables: `TABLES` by name; those of a stored record are decoded when they are first asked for.
        path: its folder, None before it is stored.
        stale: made by an older generation of the code, see `generation.CHANGES`.
    """

    run_id: str
    spec: RunSpec
    fingerprint: str
    summary: dict[str, Any]
    measured: dict[str, Any]
    tables: Mapping[str, pd.DataFrame]
    path: Path | None = None
    stale: bool = False

    @property
    def history(self) -> pd.DataFrame:
        """Metrics per epoch."""
        return self.tables["history"]

    @property
    def posterior(self) -> pd.DataFrame:
        """position, task, epoch, step, config, mass (float16)."""
        return self.tables["posterior"]

    @property
    def accuracy(self) -> pd.DataFrame:
        """position, task, when, test_accuracy."""
        return self.tables["accuracy"]

    @property
    def configs(self) -> list[str]:
        """One bit string per task, layer 1 first; empty for methods without transfer configurations."""
        return list(self.summary.get("configs") or [])

    @property
    def row(self) -> dict[str, Any]:
        """The flat object that `lasem runs --json` and `lasem train --json` print."""
        return flat_row(self.run_id, self.spec.model_dump(mode="json"), plain(self.summary), plain(self.measured))

    def digest(self) -> str:
        """Hash of the identical part: equal for two runs exactly when all their results are.

        Tables enter as CSV text, so that plain pandas can recompute it from the stored files.
        """
        digest = hashlib.sha256(canonical(self.summary))
        for name in TABLES:
            digest.update(self.tables[name].to_csv(index=False).encode())
        return digest.hexdigest()


def flat_row(run_id: str, spec: Mapping[str, Any], summary: Mapping[str, Any], measured: Mapping[str, Any]) -> dict:
    """The keys of `ROW` from the parts of a record; what a run does not have is None."""
    row = dict.fromkeys(ROW) | {"run_id": run_id} | {name: spec[name] for name in CHOICES}
    row |= {"n_tasks": spec["stream"]["n_tasks"], "epochs": spec["schedule"]["epochs"], "configs": []}
    row |= {name: summary[name] for name in (*RESULTS, "n_tasks", "epochs") if summary.get(name) is not None}
    return row | {name: measured.get(name) for name in MEASUREMENTS}


def plain(value: Any) -> Any:
    """`value` in JSON's types: numpy numbers become Python's, NaN and infinity null, paths text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def canonical(value: Any) -> bytes:
    """One spelling of a JSON value, for hashing."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
