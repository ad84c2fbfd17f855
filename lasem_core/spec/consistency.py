"""Settings that do not fit together; each error names the fix (ValueError, which pydantic passes on)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lasem_core.spec.configs import check_partition, parse_groups

if TYPE_CHECKING:
    from lasem_core.spec.run_spec import RunSpec

CONFIGURED_METHODS = ("static", "fixed-posterior")
SEARCHING_METHODS = ("lasem", "fixed-posterior", "brute-force", "darts")
SHARING_METHODS = ("static", *SEARCHING_METHODS)
STAGED_METHODS = ("lasem", "static", "single-task")
MOST_CONFIGURATIONS = 2**12
EARLY = 100  # mini-batches of a task whose likelihoods say how related it is (em.prior=related)
MOST_PLANTED_CLASSES = 2000  # a megabyte of images each


def check_consistency(spec: RunSpec) -> None:
    """Raise ValueError for the first check that fails."""
    for check in (_base, _network, _config, _groups, _order, _planted, _pruning, _revisit, _search, _fixed_mass, _tie):
        check(spec)


def _base(spec: RunSpec) -> None:
    needs_base = spec.method in SHARING_METHODS
    if needs_base == (spec.base == "none"):
        allowed = "hps, tf, df-cnn" if needs_base else "none"
        raise ValueError(f"base '{spec.base}' does not fit method '{spec.method}'; use {allowed}")


def _network(spec: RunSpec) -> None:
    network = spec.model.network
    if network == "cnn":
        return
    if spec.method not in STAGED_METHODS:
        allowed = ", ".join(STAGED_METHODS)
        raise ValueError(
            f"model.network '{network}' does not fit method '{spec.method}'; use {allowed}, or network cnn"
        )
    if spec.precision == "bf16":
        raise ValueError(f"precision 'bf16' does not fit model.network '{network}'; use fp32 or fp64")


def _config(spec: RunSpec) -> None:
    if spec.config is None and spec.method in CONFIGURED_METHODS:
        raise ValueError(f"method '{spec.method}' needs a config, such as all, top2 or 0011")
    if spec.config is not None and spec.method not in CONFIGURED_METHODS:
        raise ValueError(
            f"config '{spec.config}' does not fit method '{spec.method}'; leave it out, {spec.method} "
            f"decides by itself (methods with a config: {', '.join(CONFIGURED_METHODS)})"
        )


def _groups(spec: RunSpec) -> None:
    if spec.em.groups:
        check_partition(parse_groups(spec.em.groups), spec.model.depth)


def _order(spec: RunSpec) -> None:
    order = spec.stream.order
    if isinstance(order, tuple) and (not order or max(order) >= spec.stream.n_tasks):
        raise ValueError(f"stream.order {order} names a task outside 0..{spec.stream.n_tasks - 1}")


def _planted(spec: RunSpec) -> None:
    tasks, classes = spec.stream.n_tasks, spec.stream.classes_per_task
    if spec.dataset == "planted" and tasks * classes > MOST_PLANTED_CLASSES:
        raise ValueError(
            f"stream.n_tasks {tasks} x stream.classes_per_task {classes} = {tasks * classes:,} classes; planted tasks "
            f"are made in memory, use at most {MOST_PLANTED_CLASSES:,}"
        )


def _pruning(spec: RunSpec) -> None:
    em = spec.em
    if em.prune != "off" and spec.method != "lasem":
        raise ValueError(f"em.prune '{em.prune}' does not fit method '{spec.method}'; only lasem prunes, use off")
    if em.prune != "off" and em.prior == "related" and em.prune_every < EARLY:
        raise ValueError(
            f"em.prune_every {em.prune_every} does not fit em.prior 'related', which compares the likelihoods of all "
            f"configurations in a task's first {EARLY} mini-batches; use at least {EARLY}"
        )


def _revisit(spec: RunSpec) -> None:
    if spec.em.revisit == "fixed" or spec.method != "lasem":
        return
    if not isinstance(spec.stream.order, tuple) or len(set(spec.stream.order)) == len(spec.stream.order):
        raise ValueError(
            f"em.revisit 'search' changes nothing where no task is revisited (stream.order {spec.stream.order}); "
            "give an order such as 0,1,0,1, or use fixed"
        )
    if spec.em.prior in ("history", "related"):
        raise ValueError(
            f"em.revisit 'search' does not fit em.prior '{spec.em.prior}', which takes in a finished task's counts; "
            "use another prior, or fixed"
        )


def free_layers(spec: RunSpec) -> int:
    """Layers, or groups of layers, that are transferred or not independently of each other."""
    return len(parse_groups(spec.em.groups)) if spec.em.groups else spec.model.depth


def _search(spec: RunSpec) -> None:
    free = free_layers(spec)
    if spec.method in SEARCHING_METHODS and 2**free > MOST_CONFIGURATIONS:
        raise ValueError(
            f"{free} layers or groups of layers have 2^{free} configurations, at most {MOST_CONFIGURATIONS} can be "
            "searched; tie layers together with em.groups, such as 1,2,3|4,5,6, or use fewer model.channels"
        )


def _fixed_mass(spec: RunSpec) -> None:
    n = 2 ** free_layers(spec)
    if spec.method == "fixed-posterior" and spec.em.fixed_mass * n <= 1:
        raise ValueError(
            f"em.fixed_mass {spec.em.fixed_mass}: each other configuration would weigh as much as '{spec.config}' or "
            f"more, and another one be kept; use more than 1/{n}"
        )


def _tie(spec: RunSpec) -> None:
    brute = spec.brute_force
    searched = spec.method == "brute-force" and brute.first_task == "search"
    if searched and brute.tie_first_two and spec.base != "hps":
        raise ValueError(
            f"brute_force.tie_first_two does not fit base '{spec.base}' with brute_force.first_task 'search': a task's "
            "own filters cannot become shared ones; use brute_force.first_task=fixed, or base hps"
        )
