"""Which settings have an effect where: one that changes a run's id but none of its numbers is refused.

Values that come from the data set, preset or profile are always accepted, since the tables of `presets.py` do not know
which method reads them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from operator import attrgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from lasem_core.spec import presets
from lasem_core.spec.consistency import SEARCHING_METHODS

if TYPE_CHECKING:
    from lasem_core.spec.run_spec import RunSpec

_SPLITTING = ("digits", "office-home", "office-home-incremental", "caltech101", "folder")  # have no test split

# (settings or whole parts, what decides whether they are read, its values where they are)
READERS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("stream.relatedness", "dataset", ("planted",)),
    ("stream.domain_groups", "dataset", ("office-home",)),
    ("stream.noise", "dataset", ("stl10", "stl10-group")),
    ("stream.test_fraction", "dataset", _SPLITTING),
    ("stream.valid_fraction stream.normalisation", "dataset", ("cifar100", "stl10", "stl10-group", *_SPLITTING)),
    ("model.channels model.kernels model.pools model.head", "model.network", ("cnn",)),
    ("model.weight_init model.weight_std model.bias_init", "model.network", ("cnn",)),
    ("model.kb_channels model.deconv_channels", "model.network", ("cnn",)),
    ("model.kb_channels model.deconv_channels", "base", ("df-cnn",)),
    ("model.tf_orthogonality", "base", ("tf",)),
    ("model.weight_std", "model.weight_init", ("truncated-normal",)),
    ("schedule.test_every", "schedule.evaluation", ("lazy",)),
    ("em.likelihood em.prior em.prior_count em.forget", "method", ("lasem",)),
    ("em.start em.temper em.evidence em.revisit", "method", ("lasem",)),
    ("em.prune_eps em.prune_every em.prune_samples", "method", ("lasem",)),
    ("em.prior_count", "em.prior", ("count", "history", "related")),
    ("em.forget", "em.prior", ("count",)),
    ("em.prune_eps em.prune_every", "em.prune", ("refreshed", "sampled")),
    ("em.prune_samples", "em.prune", ("sampled",)),
    ("em.fixed_mass", "method", ("fixed-posterior",)),
    ("em.groups", "method", SEARCHING_METHODS),
    ("em.rollback", "method", ("lasem", "fixed-posterior", "darts")),
    ("em.shared_init", "method", SEARCHING_METHODS),
    ("em.m_steps schedule.recorded", "method", ("static", "single-task", "lasem", "fixed-posterior", "brute-force")),
    ("darts", "method", ("darts",)),
    ("darts.alpha_lr darts.alpha_beta1 darts.alpha_beta2 darts.alpha_weight_decay", "darts.alpha_optimizer", ("adam",)),
    ("darts.weight_lr darts.weight_momentum darts.weight_decay", "darts.weight_optimizer", ("sgd",)),
    ("darts.weight_clip", "darts.weight_optimizer", ("sgd",)),
    ("progressive", "method", ("progressive",)),
    ("den", "method", ("den",)),
    ("apd", "method", ("apd",)),
    ("apd.anchor", "apd.variant", ("original",)),
    ("brute_force", "method", ("brute-force",)),
    ("ewc", "method", ("ewc",)),
)


RMSPROP = ("optim.lr optim.lr_decay optim.rho optim.eps optim.start", "darts.weight_optimizer", ("rmsprop",))
CHOICES = ("dataset", "method", "base", "preset", "profile")


def check_effects(spec: RunSpec) -> None:
    """Raise ValueError for a setting that the run does not read and that differs from what `presets.py` gives."""
    usual = _usual(type(spec), *(getattr(spec, choice) for choice in CHOICES), spec.model.network)
    own = spec.method == "darts" and spec.darts.alpha_optimizer != "rmsprop"  # else alpha follows the run's rate
    for names, decides, values in (*READERS, RMSPROP) if own else READERS:
        here = attrgetter(decides)(spec)
        for name in _settings(spec, names) if here not in values else ():
            given = attrgetter(name)(spec)
            if given not in (None, attrgetter(name)(usual)):  # None takes back what a preset gives
                raise ValueError(
                    f"{name} = {given!r} changes nothing where {decides} is '{here}'; leave it out "
                    f"(it acts where {decides} is {', '.join(values)})"
                )


@lru_cache
def _usual(kind: type[RunSpec], *choices: str) -> SimpleNamespace:
    """The parts that the table speaks of, as `choices` alone give them."""
    filled = presets.resolve(*choices)
    parts = {name.split(".")[0] for names, _, _ in (*READERS, RMSPROP) for name in names.split()}
    return SimpleNamespace(**{part: kind.model_fields[part].annotation(**filled.get(part, {})) for part in parts})


def _settings(spec: RunSpec, names: str) -> Iterator[str]:
    """The dotted names in `names`, a whole part spelt out."""
    for name in names.split():
        yield from [name] if "." in name else (f"{name}.{field}" for field in type(getattr(spec, name)).model_fields)
