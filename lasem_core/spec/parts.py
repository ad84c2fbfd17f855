"""The parts of a specification: the names there are, the numbers that are allowed, one class per group of switches."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

Dataset = Literal[
    "planted",
    "digits",
    "cifar100",
    "stl10",
    "stl10-group",
    "office-home",
    "office-home-incremental",
    "caltech101",
    "folder",
]
Method = Literal[
    "static",
    "lasem",
    "fixed-posterior",
    "brute-force",
    "single-task",
    "darts",
    "progressive",
    "den",
    "apd",
    "joint",
    "fine-tune",
    "ewc",
]
Base = Literal["hps", "tf", "df-cnn", "none"]
Preset = Literal["paper", "released"]
Profile = Literal["smoke", "quick", "paper"]
Network = Literal["cnn", "resnet", "transformer"]

LARGEST = 3.4e38  # what a 32-bit float can hold
N_STAGES = 5  # of every network in `model/small_networks.py`

Positive = Annotated[int, Field(gt=0, lt=2**31)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(gt=0, lt=1)]
Rate = Annotated[float, Field(ge=0)]


def _split_commas(value: object) -> object:
    """Let `--set model.channels=8,16` mean a tuple."""
    if isinstance(value, str) and value[:1].isdigit():
        return value.split(",")
    return value


def _or_none(value: object) -> object:
    """Let `--set model.kb_channels=None` take back what a preset gives."""
    return None if value == str(None) else _split_commas(value)


def _task_order(value: object) -> object:
    if isinstance(value, str) and value not in ("fixed", "shuffled") and not re.fullmatch(r"\d+(,\d+)*", value):
        raise ValueError(f"stream.order '{value}': use fixed, shuffled or task numbers such as 0,1,0")
    return _split_commas(value)


Ints = Annotated[tuple[Positive, ...], BeforeValidator(_split_commas)]
OptionalInts = Annotated[tuple[Positive, ...] | None, BeforeValidator(_or_none)]
TaskOrder = Annotated[
    Literal["fixed", "shuffled"] | tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_task_order)
]


class Part(BaseModel):
    """A frozen part of a specification; an unknown field is an error, and so is what no 32-bit float can hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _in_range(cls, value: Any) -> Any:
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, float) and not abs(number) <= LARGEST:
                raise PydanticCustomError("float_range", "input should be a finite number of at most 3.4e38")
        return value


class StreamSpec(Part):
    """Which tasks there are and in which order (released code, items 50 to 55)."""

    n_tasks: Positive = 10
    order: TaskOrder = "fixed"  # an explicit list may revisit tasks
    classes_per_task: Positive = 10
    fraction: Fraction = 1.0  # of the official training images of a class
    valid_fraction: Share = 0.15  # of the images drawn by `fraction`
    test_fraction: Share = 0.3  # where a data set has no test split of its own
    images: Literal["per-seed", "shared"] = "per-seed"  # do trials draw their own images?
    normalisation: Literal["train", "split", "none"] = "train"  # whose statistics standardise a split
    noise: Literal["paper", "released", "none"] = "none"  # released code, item 54
    domain_groups: Literal["disjoint", "shared"] = "disjoint"  # Office-Home, released code, item 53
    relatedness: Literal["low", "high", "both", "none"] = "low"  # planted tasks only

    @property
    def n_visits(self) -> int:
        """How many times a task is trained."""
        return len(self.order) if isinstance(self.order, tuple) else self.n_tasks


class ModelSpec(Part):
    """The task network (Figure 6; released code, items 31 to 34)."""

    network: Network = "cnn"  # the paper's, or one of `model/small_networks.py` (ours)
    channels: Ints = (32, 32, 64, 64)
    kernels: Ints = (3, 3, 3, 3)
    pools: Ints = (1, 2, 1, 2)  # 1 = no pooling after this layer
    head: Ints = (64,)  # hidden widths of the fully connected layers
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5  # on the flattened features only
    kb_channels: OptionalInts = None  # DF-CNN shared tensor; None: round((c_in + c_out) / 3)
    deconv_channels: OptionalInts = None  # DF-CNN deconvolution; None: round(2 (c_in + c_out) / 3)
    tf_orthogonality: Rate = 0.1  # released code, item 36
    weight_init: Literal["truncated-normal", "glorot"] = "truncated-normal"  # released code, item 27
    weight_std: Annotated[float, Field(gt=0)] = 0.05
    bias_init: float = 0.2

    @property
    def depth(self) -> int:
        """Number of layers, or stages, that can be shared."""
        return len(self.channels) if self.network == "cnn" else N_STAGES

    @model_validator(mode="after")
    def _one_entry_per_layer(self) -> ModelSpec:
        for name in ("kernels", "pools", "kb_channels", "deconv_channels"):
            value = getattr(self, name)
            if value is not None and len(value) != len(self.channels):
                n = len(self.channels)
                raise ValueError(f"model.{name} {value} needs {n} entries, one per layer of model.channels")
        return self


class OptimSpec(Part):
    """RMSProp as TensorFlow 1 defines it, its schedule and the batch size (released code, items 25 and 26)."""

    lr: Annotated[float, Field(gt=0)] = 1e-4
    lr_decay: Rate = 0.0  # lr / (1 + epoch * lr_decay), epochs counted over the lifetime
    batch_size: Positive = 10
    rho: Annotated[float, Field(ge=0, lt=1)] = 0.9
    eps: Annotated[float, Field(gt=0)] = 1e-10
    start: Rate = 1.0  # initial mean square: 1 warms up over about 100 steps


class ScheduleSpec(Part):
    """How long to train, when to evaluate, and how closely the belief is recorded."""

    epochs: Annotated[int, Field(ge=0, lt=2**31)] = 2000
    evaluation: Literal["lazy", "every-epoch"] = "lazy"
    test_every: Positive = 10  # lazy: epochs between two points of the test curve
    recorded: Positive = 200  # mini-batches of a task whose posteriors are recorded one by one


class EMSpec(Part):
    """The switches of LASEM (released code, items 1 to 24)."""

    likelihood: Literal["joint", "mean"] = "joint"
    prior: Literal["count", "running-mean", "uniform", "history", "related"] = "count"
    prior_count: Annotated[float, Field(gt=0)] = 1.0  # Laplace smoothing of Eq. 1
    forget: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of the counts that each mini-batch takes away
    start: Annotated[int, Field(ge=0)] = 0  # epochs of a task before its configurations are judged
    temper: Annotated[float, Field(ge=0, le=1)] = 0.0  # share of a task over which the likelihood's exponent rises to 1
    evidence: Literal["training", "held-out"] = "training"  # the images that the E-step looks at
    m_steps: Positive = 1
    rollback: bool = True  # shared layers that a finished task did not choose return to their old value
    shared_init: Literal["once", "until-transferred"] = "once"
    revisit: Literal["fixed", "search"] = "fixed"  # of a task whose last visit left its configuration unclear
    groups: str = ""  # a partition such as 1,2,3|4,5,6; empty: every layer alone
    fixed_mass: Fraction = 0.9  # fixed-posterior: weight of the chosen configuration
    prune: Literal["off", "refreshed", "sampled"] = "off"  # leave out configurations without weight
    prune_eps: Annotated[float, Field(gt=0, lt=1)] = 0.02  # posterior mass that may be left out
    prune_every: Positive = 100  # mini-batches between two full evaluations
    prune_samples: Positive = 8  # `sampled`: configurations that are drawn for a mini-batch, and the most of the rest


class DartsSpec(Part):
    """DARTS (Liu et al. 2018) over {task-specific, shared} per layer; released code, item 57."""

    alpha_data: Literal["held-out", "train"] = "held-out"
    alpha_optimizer: Literal["adam", "rmsprop"] = "adam"
    alpha_lr: Annotated[float, Field(gt=0)] = 3e-4
    alpha_beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    alpha_beta2: Annotated[float, Field(ge=0, lt=1)] = 0.999
    alpha_weight_decay: Rate = 1e-3
    weight_optimizer: Literal["sgd", "rmsprop"] = "sgd"
    weight_lr: Annotated[float, Field(gt=0)] = 0.025
    weight_momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Rate = 3e-4
    weight_clip: Rate = 0.0  # largest norm of the weights' gradient, 5 in the original; 0: any


class ProgressiveSpec(Part):
    """Progressive Neural Networks (Rusu et al. 2016); released code, item 56."""

    compression: Positive = 2


class DenSpec(Part):
    """Dynamically Expandable Networks (Yoon et al. 2018): class defaults are those of released code, item 59; those
    of preset `paper` stand in `presets.py`."""

    expansion: Positive = 32  # units per layer
    l1: Rate = 1e-6  # sparsity of connections: RMS lost at a step, as a share of the layer's RMS step
    l2: Rate = 0.01
    group_lasso: Rate = 0.8  # of a new unit's incoming weights, likewise
    drift: Rate = 0.5
    loss_threshold: Rate = 0.01  # training loss without dropout above which units are added
    selection_threshold: Rate = 0.01  # up to this share of its layer's largest a connection counts as zero
    sparsity_threshold: Rate = 0.01  # likewise a new unit's incoming weights
    split_threshold: Rate = 0.05  # L2 drift of a unit's incoming weights, the original's value
    # shares of a task's epochs: head alone, selective retraining, expansion, after the split
    phases: Annotated[tuple[Rate, Rate, Rate, Rate], BeforeValidator(_split_commas)] = (0.1, 0.3, 0.3, 0.3)

    @field_validator("phases")
    @classmethod
    def _some_epochs(cls, phases: tuple[float, ...]) -> tuple[float, ...]:
        if sum(phases) == 0:
            raise ValueError(f"den.phases {phases} leave no epoch to any phase; one share must be above 0")
        return phases


class ApdSpec(Part):
    """Additive Parameter Decomposition (Yoon et al. 2020); released code, item 58."""

    variant: Literal["original", "released"] = "original"
    l1: Rate = 4e-4
    anchor: Rate = 100.0


class BruteForceSpec(Part):
    """Task-wise search (Appendix C); released code, item 60."""

    first_task: Literal["search", "fixed"] = "search"
    tie_first_two: bool = False


class EwcSpec(Part):
    """Elastic Weight Consolidation (Kirkpatrick et al. 2017): a reference point beyond the paper."""

    strength: Rate = 1000.0


def choices(literal: Any) -> tuple[str, ...]:
    """The values of a Literal, for help texts."""
    return get_args(literal)
