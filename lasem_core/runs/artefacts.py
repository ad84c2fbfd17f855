"""Which runs each figure and table of the paper is a view of.

A declaration lists methods, bases, data sets and configurations, as the paper does. `plan.plan` expands it for a
profile and a set of seeds; artefacts that need the same run share it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lasem_core.spec import presets
from lasem_core.spec.presets import merge

STATIC_SET = "the static set"  # as many configurations as the depth of the data set's network asks for
EVERY_CONFIG = "every configuration"
ONE_BASE = {"bases": ("hps",)}
HALF = ("0000", "0001", "0011", "0110", "0111", "1000", "1100", "1111")  # of sixteen; what is planted is among them
ADJACENT = "adjacent layers"  # a partition of the layers into groups of neighbours

PAIR = ("cifar100", "office-home")
SHARED = ("hps", "tf", "df-cnn")


@dataclass(frozen=True)
class Runs:
    """A family of runs: every combination of its data sets, bases, configurations and settings.

    Attributes:
        first_seed_only: for costs and demonstrations, which need no interval.
        pinned: the family is about this data set: no other may take its place.
        at_quick: settings for profile quick only, whose own schedule would take days here.
        trials: seeds at profile quick, where it is not the data set's usual number.
        only_at: the profiles it is made for; empty: every one.
        rehearsed: the fields that are different at profile smoke, which trains a part of a large study.
        profile, seeds: fixed for this family, whatever a plan asks for.
    """

    method: str
    datasets: tuple[str, ...]
    bases: tuple[str, ...] = ("none",)
    configs: tuple[str | None, ...] = (None,)
    settings: tuple[Mapping[str, Any], ...] = field(default=({},))
    first_seed_only: bool = False
    pinned: bool = False
    at_quick: Mapping[str, Any] = field(default_factory=dict)
    trials: int | None = None
    only_at: tuple[str, ...] = ()
    rehearsed: Mapping[str, Any] = field(default_factory=dict)
    profile: str | None = None
    seeds: Sequence[int] | None = None


def _on_three_data_sets(method: str, **kind: Any) -> tuple[Runs, ...]:
    """Figure 3 leaves hard parameter sharing out on STL-10."""
    return Runs(method, PAIR, SHARED, **kind), Runs(method, ("stl10",), ("tf", "df-cnn"), **kind)


def _em(**switches: Any) -> dict[str, Any]:
    return {"em": switches}


def _planted(method: str, configs: tuple[str | None, ...] = (None,), **choices: Any) -> Runs:
    """Three tasks of every relatedness: the fourth would use the first one's channel again."""
    streams = tuple({"relatedness": related, "n_tasks": 3} for related in ("none", "low", "high", "both"))
    settings = tuple(merge({"stream": stream}, choices) for stream in streams)
    part = ONE_BASE | ({"configs": HALF} if configs == (EVERY_CONFIG,) else {})
    return Runs(method, ("planted",), ("hps", "df-cnn"), configs, settings, pinned=True, rehearsed=part)


def _choices() -> Iterator[Runs]:
    """LASEM with one switch of the E-step changed at a time, beside every static configuration.

    At profile quick also with a quarter of the images in as many mini-batches, so that what there is to see changes and
    not how often; there, twenty posteriors a task are recorded, since a thousand records would not fit otherwise.
    """
    scarce = {"stream": {"fraction": 0.25}, "schedule": {"epochs": 120}}
    for bases, profiles in ((("hps", "df-cnn"), ()), (("tf",), FULL)):
        kind = {"bases": bases, "trials": 10}
        yield replace(_planted("static", (EVERY_CONFIG,), preset="paper"), **kind, only_at=profiles)
        ours = kind | {"at_quick": {"schedule": {"recorded": 20}}}
        yield from (replace(_planted("lasem", preset=name), **ours, only_at=profiles) for name in ("paper", "released"))
        yield from (replace(_planted("lasem", preset="paper", em=em), **ours, only_at=FULL) for em in E_STEPS)
        yield replace(_planted("lasem", preset="paper", **scarce), **ours, only_at=("quick",))


def _short_visits() -> Iterator[Runs]:
    """The same epochs in one visit of every task and in short ones, in turns: transfer at all layers, and LASEM.

    CIFAR-100: five tasks, one visit of 120 epochs or six of 20. Planted tasks: three, one visit of 30 or three of ten.
    """
    always = {"profile": "quick", "trials": 3, "only_at": FULL}
    for method, config, em in (("static", "all", {}), *(("lasem", None, em) for em in SHORT_VISITS)):
        planted, cifar = ({}, _in_turns(3, 3, 10)), (_scale(5, 120), _in_turns(5, 6, 20))
        if em:  # what differs at a revisit has only short visits
            planted, cifar = planted[1:], cifar[1:]
        else:
            for scale in ({}, _in_turns(3, 3, 2)):
                yield replace(_planted(method, (config,), preset="paper", **scale), bases=("hps",), only_at=("smoke",))
        for scale in planted:
            yield replace(_planted(method, (config,), preset="paper", **scale | _em(**em)), bases=SHARED, **always)
        switches = {"preset": "paper"} | (_em(prune="refreshed", **em) if method == "lasem" else {})
        settings = tuple(scale | switches for scale in cifar)
        yield Runs(method, ("cifar100",), ("hps",), (config,), settings, **always)


def _in_turns(n_tasks: int, visits: int, epochs: int) -> dict[str, Any]:
    """Every task in turn, `epochs` long, as many times as `visits` says."""
    return {"stream": {"n_tasks": n_tasks, "order": (*range(n_tasks),) * visits}, "schedule": {"epochs": epochs}}


def _scale(n_tasks: int, epochs: int) -> dict[str, Any]:
    return {"stream": {"n_tasks": n_tasks}, "schedule": {"epochs": epochs}}


def _compared(n_tasks: int, epochs: int, *methods: str, bases: tuple[str, ...] = ("none",)) -> tuple[Runs, ...]:
    scale = _scale(n_tasks, epochs)
    kind = {"first_seed_only": True, "at_quick": scale}
    return tuple(Runs(method, ("cifar100",), bases, rehearsed=_in_part(method), **kind) for method in methods)


def _in_part(method: str) -> Mapping[str, Any]:
    """Brute force trains sixteen networks a task."""
    return ONE_BASE if method == "brute-force" else {}


def _nine_layers(method: str, *settings: Mapping[str, Any], configs: tuple[str | None, ...] = (None,)) -> Runs:
    return Runs(method, ("stl10-group",), ("df-cnn",), configs, settings, at_quick=_scale(3, 5))


def _paired(method: str, *settings: Mapping[str, Any], configs: tuple[str | None, ...] = (None,)) -> Runs:
    return Runs(method, ("cifar100",), SHARED, configs, settings, at_quick=_scale(3, 100))


def _whole_task(dataset: str, base: str) -> Runs:
    """One task with as many epochs as Table 2 has, to see what pruning evaluates during a task."""
    scale = _scale(1, 500) | _em(prune="refreshed")
    return Runs("lasem", (dataset,), (base,), first_seed_only=True, at_quick=scale)


def _over_stages() -> Iterator[Runs]:
    """LASEM beside all stages shared and none, over networks that are not the paper's, with optimizer settings that
    suit them."""
    suits = {"optim": {"lr": 1e-3, "start": 0.0}}
    settings = {name: merge(suits, {"model": {"network": name, "dropout": 0.0}}) for name in ("resnet", "transformer")}
    for method, configs, em in (("static", ("all", "none"), {}), ("lasem", (None,), REFRESHED)):
        kind = {"datasets": ("cifar100",), "bases": ("hps",), "configs": configs}
        both = tuple(merge(one, em) for one in settings.values())
        yield Runs(method, settings=both, at_quick=_scale(5, 40), only_at=FULL, **kind)
        yield Runs(method, settings=(merge(settings["resnet"], _scale(2, 2)),), only_at=("smoke",), **kind)


def _on_larger_images(method: str, *configs: str | None, **em: Any) -> Runs:
    scale = _scale(3, 10) | _em(**em)
    bases = ("hps", "df-cnn")
    return Runs(method, ("stl10", "caltech101"), bases, configs, first_seed_only=True, at_quick=scale)


E_STEPS = (
    {"start": 6},
    {"temper": 0.5},
    {"evidence": "held-out"},
    {"forget": 0.01},
    {"prior": "related"},
    {"start": 6, "evidence": "held-out"},
)
SHORT_VISITS = ({}, {"revisit": "search"}, {"rollback": False})
FULL = ("quick", "paper")  # smoke rehearses with a part
REFRESHED = _em(prune="refreshed")  # exact EM on ten tasks of 200 epochs takes seven times as long
LASEM = _on_three_data_sets("lasem", at_quick=REFRESHED)
STATIC = _on_three_data_sets("static", configs=(STATIC_SET,))
RELEASED_DARTS = {"darts": presets.RELEASED["darts"]}  # on the images of preset `paper`
_SEARCHED = _scale(5, 100)  # brute force trains sixteen networks a task
SEARCHES = (
    Runs("static", PAIR, SHARED, ("all",), at_quick=_SEARCHED),
    Runs("lasem", PAIR, SHARED, at_quick=_SEARCHED),
    Runs("brute-force", PAIR, SHARED, at_quick=_SEARCHED, rehearsed=ONE_BASE),
)
OTHER_METHODS = (
    *(Runs(method, ("office-home",)) for method in ("den", "apd", "progressive")),
    # trained as the original does, and as the released code does: at our scale the two fare very differently
    Runs("darts", ("office-home",), ("hps", "df-cnn"), settings=({}, RELEASED_DARTS)),
)
REFERENCES = tuple(Runs(method, ("cifar100",)) for method in ("single-task", "joint", "ewc", "fine-tune"))
_SWITCHES = tuple(
    _em(likelihood=likelihood, prior=prior, rollback=rollback)
    for likelihood in ("joint", "mean")
    for prior in ("count", "running-mean", "uniform", "history")
    for rollback in (True, False)
    if rollback or (likelihood, prior) in (("joint", "count"), ("mean", "running-mean"))
)
DYNAMICS = Runs(
    "lasem",
    ("cifar100",),
    ("hps", "df-cnn"),
    settings=(*_SWITCHES, *(_em(m_steps=n) for n in (2, 5))),
    at_quick=_scale(3, 60),
    rehearsed=ONE_BASE,
)
FIXED = (
    Runs(
        "fixed-posterior",
        ("office-home",),
        ("df-cnn",),
        ("top2",),
        tuple(_em(fixed_mass=mass / 10) for mass in range(5, 11)),
        at_quick=_scale(5, 100),
    ),
    Runs("lasem", ("office-home",), ("df-cnn",), at_quick=_scale(5, 100)),
)

ARTEFACTS: dict[str, tuple[Runs, ...]] = {
    "figure1": (Runs("static", PAIR, ("hps", "df-cnn"), (STATIC_SET,)),),
    "figure2": (),  # a drawing of the three bases
    "figure3": STATIC + LASEM,
    "figure4": (Runs("lasem", PAIR, SHARED, at_quick=REFRESHED),),
    "figure5": FIXED,
    "figure6": (),  # the architectures
    "figure7": STATIC + LASEM,
    "figure8": LASEM,
    "table1": (*OTHER_METHODS, Runs("lasem", ("office-home",), SHARED, at_quick=REFRESHED)),
    "table2": (),  # the experiments' parameters
    "table3": SEARCHES,
    "appendix_c": SEARCHES,
    "appendix_e": (
        _nine_layers("static", {}, configs=("all",)),
        _nine_layers("lasem", _em(groups=ADJACENT), _em(groups="", prune="sampled", prune_every=4)),
    ),
    "appendix_f": tuple(
        Runs(method, ("office-home",), bases, configs, first_seed_only=True, rehearsed=_in_part(method))
        for method, bases, configs in (
            ("static", SHARED, ("all", "top2")),
            ("lasem", SHARED, (None,)),
            ("brute-force", SHARED, (None,)),
            ("darts", ("hps", "df-cnn"), (None,)),
            *((method, ("none",), (None,)) for method in ("single-task", "progressive", "den", "apd")),
        )
    ),
    "dynamics": (DYNAMICS,),
    "methods": (
        *_compared(3, 40, "single-task", "fine-tune", "joint", "ewc", "progressive", "den", "apd"),
        *_compared(3, 40, "darts", bases=("hps", "df-cnn")),
        *_compared(3, 40, "static", "lasem", "brute-force", bases=SHARED),
        *_compared(10, 10, "single-task", "progressive"),
    ),
    "larger_images": (
        _on_larger_images("static", "all"),
        _on_larger_images("lasem", None, prune="refreshed", prune_every=20),
    ),
    "planted": (
        _planted("static", (EVERY_CONFIG,), preset="paper"),
        _planted("lasem", preset="paper"),
        _planted("lasem", preset="released"),
    ),
    "choice": tuple(_choices()),
    "networks": tuple(_over_stages()),
    "visits": tuple(_short_visits()),
    "speed": (
        _paired("static", {}, configs=("all",)),
        _paired("lasem", {}, _em(prune="refreshed")),
        _whole_task("stl10", "hps"),
        _planted("lasem", preset="paper"),
        _planted("lasem", preset="paper", precision="bf16"),
    ),
}
