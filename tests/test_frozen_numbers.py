"""Numbers that no redesign may change: a tiny run of every method, base and rule, against what it gave when frozen.

On a processor and a torch of the kind that made them they are equal bit for bit; elsewhere, where sums round
differently, the training losses agree to a thousandth. How products in bf16 are summed depends on the processor's
units for them: the losses are frozen by these. A change that is meant stands in `generation.CHANGES`, and then

    python tests/test_frozen_numbers.py

writes `frozen.json` again; on another kind of processor it adds that processor's digests to the file.
"""

import json
from pathlib import Path

import pytest
import torch

from lasem_core import train
from lasem_core.learners import METHODS
from lasem_core.runs.artefacts import SHARED
from lasem_core.runs.machine import bf16_units, processor
from lasem_core.spec.consistency import SHARING_METHODS
from lasem_core.spec.run_spec import build_spec

STORED = Path(__file__).with_name("frozen.json")
TINY = {"stream.n_tasks": "2", "schedule.epochs": "2", "schedule.test_every": "1"}
FEW = {"em.groups": "1,2|3,4"}  # four configurations


def _runs():
    """Name -> options and settings."""
    for base in SHARED:
        yield f"lasem {base}", {"method": "lasem", "base": base}, {}
        yield f"lasem {base} released", {"method": "lasem", "base": base, "preset": "released"}, {}
        for rule in ("refreshed", "sampled"):
            settings = {"em.prune": rule, "em.prune_every": "3", "em.prune_eps": "0.3"}
            yield f"lasem {base} {rule}", {"method": "lasem", "base": base}, settings
        yield f"static {base}", {"method": "static", "base": base}, {}
        yield f"static {base} top2", {"method": "static", "base": base, "config": "top2"}, {}
        yield f"fixed-posterior {base}", {"method": "fixed-posterior", "base": base}, {}
        yield f"brute-force {base}", {"method": "brute-force", "base": base}, FEW
        yield f"darts {base}", {"method": "darts", "base": base}, {}
    for method in METHODS:
        if method not in SHARING_METHODS:
            yield method, {"method": method, "base": "none"}, {}
    switches = {"em.prior": "history", "em.m_steps": "2", "em.rollback": "false", "em.groups": "1,2|3,4"}
    for name, value in (*switches.items(), ("em.prior", "uniform"), ("stream.order", "1,0,1")):
        yield f"lasem hps {name}={value}", {"method": "lasem", "base": "hps"}, {name: value}
    yield "lasem df-cnn bf16", {"method": "lasem", "base": "df-cnn", "precision": "bf16"}, {}
    for method in ("apd", "darts", "progressive"):
        base = "df-cnn" if method == "darts" else "none"
        yield f"{method} released", {"method": method, "base": base, "preset": "released"}, {}


RUNS = {name: (options, settings) for name, options, settings in _runs()}


def kind():
    """What the last bits of a sum depend on."""
    return f"{processor()}, {torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"


def arithmetic(spec):
    """What the first digits of a loss depend on."""
    units = [name for name, there in (bf16_units() or {}).items() if there]
    return " ".join([spec.precision, *units[:1]]) if spec.precision == "bf16" else spec.precision


def run(name):
    options, settings = RUNS[name]
    if options.get("preset") == "released":  # as that preset had it on planted tasks when they were frozen
        settings = settings | {"stream.images": "shared"}
    return train(build_spec({"dataset": "planted"} | options, TINY | settings))


def losses(record):
    return record.history["loss"].dropna().round(6).tolist()


def stored():
    return json.loads(STORED.read_text()) if STORED.is_file() else {}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_gives_the_numbers_it_was_frozen_with(name):
    frozen, record = stored()[name], run(name)
    expected = frozen["loss"].get(arithmetic(record.spec))
    if expected is None:  # units on which nobody has frozen it yet
        assert losses(record) == pytest.approx(frozen["loss"]["bf16"], rel=1e-2)
    else:
        assert losses(record) == pytest.approx(expected, rel=1e-3)
    digest = frozen["digest"].get(kind())
    assert digest in (None, record.digest()), "a number has changed; if it was meant to, see this file's head"


def test_every_frozen_run_is_still_run():
    assert set(stored()) == set(RUNS)


def freeze():
    """What other processors gave is kept where the losses have not moved."""
    frozen = {}
    for name in RUNS:
        record, kept = run(name), stored().get(name, {"loss": {}, "digest": {}})
        mine = {arithmetic(record.spec): losses(record)}
        if kept["loss"] | mine != mine | kept["loss"]:
            kept = {"loss": {}, "digest": {}}
        frozen[name] = {"loss": kept["loss"] | mine, "digest": kept["digest"] | {kind(): record.digest()}}
    STORED.write_text(json.dumps(frozen, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    freeze()
