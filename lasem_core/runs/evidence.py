"""The runs that decide the paper's claims, as one list for `lasem sweep evidence`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from lasem_core.runs.artefacts import (
    DYNAMICS,
    FIXED,
    OTHER_METHODS,
    REFERENCES,
    REFRESHED,
    SEARCHES,
    SHARED,
    STATIC_SET,
    Runs,
)
from lasem_core.spec.presets import merge


def _on_cifar(family: Runs, profile: str, seeds: Iterable[int]) -> Runs:
    """`family` on CIFAR-100, in place of a data set whose images are not available here."""
    return replace(family, datasets=("cifar100",), profile=profile, seeds=tuple(seeds))


def families() -> Iterator[Runs]:
    """Every run that decides a claim of the paper on CIFAR-100 or STL-10, the most telling first.

    Seeds come outermost in the pairs, so that every base has as many trials as the others at any time.
    """
    all_layers = Runs("static", ("cifar100",), SHARED, ("all",))
    pruned = Runs("lasem", ("cifar100",), SHARED, settings=(REFRESHED,))
    for seed in range(5):
        yield from (_on_cifar(family, "quick", (seed,)) for family in (all_layers, pruned))
    for seed in range(3):
        yield from (_on_cifar(replace(f, bases=("hps",)), "paper", (seed,)) for f in (all_layers, pruned))
    yield from _one_change_at_a_time()
    others = replace(all_layers, configs=(STATIC_SET,))
    yield _on_cifar(others, "quick", range(3))
    for family in (DYNAMICS, *FIXED, *SEARCHES, *OTHER_METHODS, *REFERENCES):
        yield _on_cifar(family, "quick", range(3))
    yield _on_cifar(replace(pruned, settings=({},)), "quick", range(3))
    for seed in range(3):
        yield from (_on_cifar(replace(f, bases=("tf", "df-cnn")), "paper", (seed,)) for f in (all_layers, pruned))
    yield _on_cifar(others, "quick", (3, 4))
    yield _on_cifar(replace(pruned, settings=({"preset": "released"} | REFRESHED,)), "quick", (0,))
    on_stl10 = {"datasets": ("stl10",), "bases": ("tf", "df-cnn"), "profile": "quick", "seeds": (0, 1)}
    yield from (replace(family, **on_stl10) for family in (all_layers, pruned))


def _one_change_at_a_time() -> Iterator[Runs]:
    """What might turn our transfer at all layers into the paper's 24.7: the released code's ways, one by one.

    Roll-back and re-initialisation act on layers that a task keeps to itself: they exist for LASEM only.
    """
    decay, shared = {"optim": {"lr_decay": 1 / 4000}}, {"stream": {"images": "shared"}}
    ways = {
        "static": ({}, decay, shared, {"preset": "released"}),
        "lasem": ({"em": {"rollback": False}}, {"em": {"shared_init": "until-transferred"}}, decay, shared),
    }
    for method, settings in ways.items():
        extra = REFRESHED if method == "lasem" else {}
        configs = ("all",) if method == "static" else (None,)
        chosen = tuple(merge(extra, way) for way in settings)
        yield _on_cifar(Runs(method, ("cifar100",), ("hps",), configs, chosen), "quick", (0,))
