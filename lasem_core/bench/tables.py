"""The tables of docs/speed.md, made from what `lasem bench --json` left in outputs/bench."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from lasem_core.bench import BASES
from lasem_core.runs.record import RunRecord
from lasem_core.runs.store import RunStore

SETTING_NAMES = {
    "cifar100": "CIFAR-100, 16 configurations",
    "stl10": "STL-10, 64",
    "stl10-9": "nine layers, 512",
}
TARGETS = {
    "static / roofline": {"cifar100": 1.5, "stl10": 1.4},
    "exact / roofline": {"cifar100": 1.5, "stl10": 1.4, "stl10-9": 1.6},
    "exact / static": {},
    "pruned / static": {},
    "estep / mstep": {},
    "peak_mb": {"cifar100": 1024, "stl10": 3072, "stl10-9": 8192},
}
ROW_NAMES = {
    "static / roofline": "static step / roofline",
    "exact / roofline": "exact EM step / roofline of the trie",
    "exact / static": "exact EM step / static step",
    "pruned / static": "pruned EM step in its steady state / static step",
    "estep / mstep": "E-step / the rest of the exact step",
    "peak_mb": "peak memory of the exact step (MB)",
}
# ms per step (static, 16 or 64 configurations) of the authors' TensorFlow code on two quiet cores of such a machine
RELEASED = {
    ("cifar100", "hps"): (7.56, 100),
    ("cifar100", "tf"): (9.24, 108),
    ("cifar100", "df-cnn"): (9.73, 113),
    ("stl10", "hps"): (38.2, 1903),
    ("stl10", "df-cnn"): (47.5, 2113),
}


def steps_table(folder: Path) -> str:
    """Ratios of one thread, three settings side by side, HPS / TF / DF-CNN in a cell, with the target of each."""
    measured = {setting: _read(folder / f"{setting}.json") for setting in SETTING_NAMES}
    rows = [
        (title, *(_cell(report, row, TARGETS[row].get(setting)) for setting, report in measured.items()))
        for row, title in ROW_NAMES.items()
    ]
    return _table(("HPS / TF / DF-CNN", *SETTING_NAMES.values()), rows)


def _cell(report: dict[str, Any], row: str, target: float | None) -> str:
    values = [report["bases"][base].get(row) or report["bases"][base]["ratios"][row] for base in BASES]
    return _slashed(values, 0 if row == "peak_mb" else 2) + (f" (target: {target:g})" if target else "")


def released_table(folder: Path) -> str:
    """Milliseconds with two threads beside the released code's, and the speed of the bare convolutions."""
    rows = []
    for (setting, base), (static, exact) in RELEASED.items():
        ours = _read(folder / f"{setting}-2-threads.json")["bases"][base]
        mine = [f"{ours[name]:.1f}" for name in ("static_ms", "roofline_static_ms", "exact_ms", "roofline_exact_ms")]
        speed = f"{1e3 * ours['exact_gflop'] / ours['roofline_exact_ms']:.0f}"
        cells = (*mine[:2], f"{static:g}", *mine[2:], speed, f"{exact:g}", f"{ours['exact_ms'] / exact:.2f}")
        rows.append((f"{setting}, {base}", *cells))
    return _table(_RELEASED_COLUMNS, rows)


_RELEASED_COLUMNS = (
    "two threads", "static (ms)", "its roofline", "theirs", "exact EM (ms)", "its roofline", "Gflop/s of it", "theirs",
    "ours / theirs",
)  # fmt: skip


def matrix_units_table(folder: Path) -> str:
    """Milliseconds where the processor has matrix units for bf16, beside the authors' code on the same machine."""
    report = _read(folder / "amx-given.json")
    return _table((_units(report["isa"]), *_MATRIX_COLUMNS), [_beside_theirs(row) for row in report["rows"]])


_MATRIX_COLUMNS = (
    "step", "threads", "time", "bf16 (ms)", "fp32 (ms)", "authors' code, same machine", "bf16 / theirs",
    "fp32 / theirs",
)  # fmt: skip


def _beside_theirs(row: dict[str, Any]) -> tuple[str, ...]:
    times = [row[name] for name in ("bf16", "fp32", "released")]
    ratios = [time and time / row["released"] for time in times[:2]]
    numbers = [_or_dash(time, "g") for time in times] + [_or_dash(ratio, ".2f") for ratio in ratios]
    return (f"{row['setting']}, {row['base'] or 'base not named'}", row["step"], str(row["threads"]), row["clock"],
            *numbers)  # fmt: skip


def _or_dash(value: float | None, form: str) -> str:
    return "–" if value is None else f"{value:{form}}"


def parts_table(folder: Path) -> str:
    """Milliseconds of what a static step does besides its convolutions, one thread, CIFAR-100's setting."""
    bases = _read(folder / "cifar100.json")["bases"]
    names = [name for name in bases[BASES[0]] if name.startswith("part_")]
    rows = [
        (name.removeprefix("part_").removesuffix("_ms"), *(f"{bases[base][name]:.2f}" for base in BASES))
        for name in names
    ]
    return _table(("ms", *BASES), rows)


def whole_table(folder: Path) -> str:
    """Tasks from their first to their last epoch, LASEM (`refreshed`) against transfer at all layers."""
    rows = []
    for base in BASES:
        for report in reports(folder, "whole-*.json", base):
            row = report["bases"][base]
            course = " ".join(f"{part['ratio']:.2f}" for part in row["course"])
            numbers = [f"{row[name]:.{digits}f}" for name, digits in _WHOLE.items()]
            kind = f"{report['setting']}, {base}, seed {report['seed']}"
            rows.append((kind, str(report["epochs"]), *numbers, course))
    titles = ("one task", "epochs", "static (ms)", "LASEM (ms)", "ratio", "evaluated", "ratio by tenths of the run")
    return _table(titles, rows)


def reports(folder: Path, names: str, base: str) -> list[dict[str, Any]]:
    """What is stored under `names`, a pattern, and has this base."""
    found = map(_read, sorted(folder.glob(names)))
    return [report for report in found if base in report["bases"]]


_WHOLE = {"static_ms": 1, "lasem_ms": 1, "ratio": 2, "evaluated": 2}


def precision_table(folder: Path) -> str:
    """Milliseconds with one thread in fp32 and bf16, on this processor's units for bf16."""
    fp32, bf16 = (_read(folder / f"{name}.json") for name in ("cifar100", "cifar100-bf16"))
    titles = (_units(bf16["isa"]), "step", "fp32 (ms)", "bf16 (ms)", "bf16 / fp32")
    times = [(base, step, *(report["bases"][base][f"{step}_ms"] for report in (fp32, bf16)))
             for step in ("static", "exact") for base in BASES]  # fmt: skip
    return _table(titles, [(f"cifar100, {base}", step, f"{slow:.1f}", f"{fast:.1f}", f"{fast / slow:.2f}")
                           for base, step, slow, fast in times])  # fmt: skip


def cost_sentence(folder: Path) -> str:
    """What the search costs on CIFAR-100, for README."""
    fp32, bf16 = (_read(folder / f"{name}.json") for name in ("cifar100", "cifar100-bf16"))
    step = [fp32["bases"][base]["ratios"]["exact / static"] for base in BASES]
    tasks = {base: reports(folder, "whole-*.json", base) for base in BASES}
    whole = [[report["bases"][base]["ratio"] for report in found] for base, found in tasks.items()]
    epochs = tasks[BASES[0]][0]["epochs"]
    here = [bf16["bases"][base]["exact_ms"] / fp32["bases"][base]["exact_ms"] for base in BASES]
    given = _read(folder / "amx-given.json")
    steps = (row for row in given["rows"] if (row["setting"], row["step"]) == ("cifar100", "exact"))
    tiles = [row["bf16"] / row["fp32"] for row in steps]
    return (
        f"On one CPU core an exact EM step over 16 configurations takes {_slashed(step, 1)} times a step of\n"
        f"transfer at all layers (HPS / TF / DF-CNN); with `em.prune=refreshed` a whole CIFAR-100 task of {epochs}\n"
        f"epochs takes {_slashed(map(fmean, whole))} times as long (means of {len(whole[0])} tasks).\n"
        f"With `--precision bf16` the exact step takes {_slashed(here)} of its time in fp32, the default, on a\n"
        f"processor with {_units(bf16['isa'])}, and {_slashed(tiles)} on one with {_units(given['isa'])} (measured\n"
        f"independently, two threads); `lasem bench` says which of these units yours has."
    )


def _units(isa: dict[str, bool]) -> str:
    return " + ".join(name for name, there in isa.items() if there)


def _slashed(values: Iterable[float], digits: int = 2) -> str:
    """HPS / TF / DF-CNN."""
    return " / ".join(f"{value:.{digits}f}" for value in values)


def estimates_table(folder: Path, store: RunStore) -> str:
    """What recorded pruned runs on larger spaces would cost beside transfer at all layers, by the benchmarked steps."""
    rows = []
    for setting, (dataset, space) in _LARGER.items():
        bench = _read(folder / f"{setting}.json")["bases"]
        records = store.records(dataset=dataset, method="lasem", profile="quick")
        pruned = (r for r in records if r.spec.em.prune != "off" and len(r.spec.space) == space)
        rows += [_estimate(setting, record, bench[record.spec.base], space) for record in pruned]
    titles = ("", "tasks x epochs", "pruning", "evaluated", "in the M-step", "LASEM / static, estimated")
    return _table(titles, rows)


_LARGER = {"stl10": ("stl10", 64), "stl10-9": ("stl10-group", 512)}


def _estimate(setting: str, record: RunRecord, cost: dict[str, Any], n: int) -> tuple[str, ...]:
    """A step over k configurations is assumed to cost static + (exact - static) (k - 1) / (n - 1), and a full
    evaluation one E-step more."""
    history, spec = record.history[record.history["epoch"] > 0], record.spec
    evaluated = history["evaluated"].mean()
    updated = history["updated"].mean() if "updated" in history else evaluated
    full = (evaluated - updated) / (n - updated) if n > updated else 0.0
    step = cost["static_ms"] + (cost["exact_ms"] - cost["static_ms"]) * (updated - 1) / (n - 1)
    ratio = (step + full * cost["estep_ms"]) / cost["static_ms"]
    scale = f"{spec.stream.n_tasks} x {spec.schedule.epochs}"
    numbers = f"{evaluated:.1f} of {n}", f"{updated:.1f}", f"{ratio:.2f}"
    mark = " †" if record.stale else ""
    return (f"{setting}, {spec.base}{mark}", scale, f"{spec.em.prune}, R {spec.em.prune_every}", *numbers)


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (titles, ["---"] * len(titles), *rows))
