"""What people read instead of the code's names, and how a number is printed: `41.3 ± 0.8 (n=3)`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pandas as pd

from lasem_core.common.statistics import LEVEL, t_interval

BASE_NAMES = {"hps": "HPS", "tf": "TF", "df-cnn": "DF-CNN", "none": "own network"}
DATASET_NAMES = {
    "cifar100": "CIFAR-100",
    "office-home": "Office-Home",
    "stl10": "STL-10",
    "stl10-group": "STL-10, 9 layers",
    "caltech101": "Caltech-101",
    "planted": "Planted tasks",
    "digits": "Digits",
    "folder": "Own images",
    "office-home-incremental": "Office-Home Incremental",
}
METHOD_NAMES = {
    "lasem": "LASEM",
    "static": "transfer at all layers",
    "fixed-posterior": "fixed posterior",
    "brute-force": "brute force",
    "darts": "DARTS",
    "progressive": "ProgNN",
    "den": "DEN",
    "apd": "APD-Net",
    "ewc": "EWC",
    "single-task": "single-task networks",
    "joint": "joint training",
    "fine-tune": "fine-tuning",
}
NETWORK_NAMES = {"resnet": "ResNet", "transformer": "transformer"}  # that are not the paper's
METRIC_NAMES = {
    "peak_at_best_valid": "peak at best validation",
    "peak_test": "peak test",
    "final_accuracy": "final",
    "forgetting_ratio": "forgetting",
}
UNITS = {"peak_accuracy": "accuracy (%)", "forgetting_ratio": "forgetting ratio", "relative_time": "time / LASEM's"}
AS_RELEASED = ", as released"  # behind the name of a method that is trained as in the authors' code
NOTHING = "no records, nothing to show"


def title(dataset: Hashable, base: Hashable = "") -> str:
    """A panel's title from the names used in data."""
    names = BASE_NAMES | METRIC_NAMES
    words = [DATASET_NAMES.get(str(dataset), str(dataset)), names.get(str(base), str(base))]
    return " · ".join(word for word in words if word)


def method_name(method: str, base: str) -> str:
    """`LASEM DF-CNN`; a method without a way of sharing (base `none`) by its own name."""
    name = METHOD_NAMES.get(method, method)
    return name if base == "none" else f"{name} {BASE_NAMES[base]}"


def run_name(method: str, label: str, base: str) -> str:
    """`LASEM HPS`, `transfer at all layers HPS`, `static top 2 HPS`; label as `evidence.label` gives it."""
    named = method_name(f"static {label}" if method == "static" and label != "all" else method, base)
    return named + AS_RELEASED * label.endswith(AS_RELEASED)


def joined(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join(part for part in (", ".join(words[:-1]), *words[-1:]) if part)


def plus_minus(mean: float, half: float, digits: int = 1, n: int | None = None, sign: str = "", unit: str = "") -> str:
    """`41.3 ± 0.8 (n=3)`; without the interval where `half` is NaN, without n where it is None; `-` for n = 0.

    Arguments: sign, `+` for differences; unit, behind the mean.
    """
    if n == 0:
        return "-"
    interval = f" ± {half:.{digits}f}" if np.isfinite(half) else ""
    return f"{mean:{sign}.{digits}f}{unit}{interval}" + ("" if n is None else f" (n={n})")


def spread(values: np.ndarray | pd.Series | float, digits: int = 1) -> str:
    """Mean, 95 % t-interval and number of `values`, those that are not finite left out; `-` where there is none."""
    values = np.atleast_1d(np.asarray(values, dtype=float))
    values = values[np.isfinite(values)]
    mean, half = t_interval(values)
    return plus_minus(mean, half, digits, len(values))


def p_value(p: float) -> str:
    """Three decimals, on the side of the level where `p` is (0.050 would deny that 0.04997 is below); `-` for NaN."""
    if pd.isna(p):
        return "-"
    if p < 0.001:
        return "< 0.001"
    return f"< {LEVEL:.3f}" if p < LEVEL <= round(p, 3) else f"{p:.3f}"
