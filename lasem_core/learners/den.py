"""DEN: Dynamically Expandable Networks (Yoon et al. 2018, ICLR, Algorithms 1 to 4), on convolutional layers.

A unit is an output channel, a connection the kernel between two units or a unit's weights into a task's head. New units
are appended, so a task's time stamp is the number of units per layer at its end, and inference for task t uses the
units stamped <= t. Each task has a fully connected head of its own.

The first task trains the whole network under L1 and L2. A later task spends the shares `den.phases` of its epochs on

    head      its head alone, under L1
    retrain   selective retraining: from the head back through connections that are large, the sub-network reached,
              under L2 and drift / 2 ||w - w_before||^2
    expand    if the training loss without dropout is still above `loss_threshold`: `expansion` units per layer, whose
              connections alone are trained, under L1 and the group lasso of their incoming weights; without it,
              retraining goes on
    adapt     useless new units are gone, units of earlier tasks whose incoming weights drifted by more than
              `split_threshold` (L2 norm) are split, and the new units and the head are trained on

Split: a copy with the new weights is stamped t and takes over what belongs to task t, the unit itself returns to its
old weights. Older units that moved less keep their change, which is what forgetting is left.

The sparse penalties act by proximal steps after RMSProp's. RMSProp divides a gradient by its own size, so a penalty as
small as a gradient would be lost against the step. As behind the Adam of the authors' code, `l1` and `group_lasso`
are therefore compared with the step itself: the root mean square (RMS) of a connection, or of a new unit's incoming
weights, loses that share of the RMS step of its layer. What no gradient holds up falls to a level of noise, not to
exactly zero: what counts is a share of the layer's largest, `selection_threshold` of its connections and
`sparsity_threshold` of its units. docs/baselines.md has the differences from the original. A task visited again trains
its head only. `den_surgery.py` holds the structural changes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from lasem_core.learners import den_surgery as surgery
from lasem_core.learners.gradient import GradientLearner
from lasem_core.learners.protocol import Environment, EpochReport, TaskContext
from lasem_core.model.layers import activate, convolve, head_tensors, tensors_of
from lasem_core.model.transfer import specific_filters

PHASES = ("head", "retrain", "expand", "adapt")
HEAD_START = 0.01  # initial scale of a later task's head, so that its size says what the task has learned


class Den(GradientLearner):
    """One network that grows; what a task may use is stamped.

    Attributes:
        layers: weight (N_l, N_{l-1}, k, k) and bias (N_l,) of all units so far.
        sizes: per finished task its units per layer, the time stamp.
    """

    knowledge = ("layers", "sizes")
    training = ("phase", "epoch", "reached", "before", "n_split", "fit_loss")

    def __init__(self, env: Environment):
        super().__init__(env)
        init = self.initializer("shared")
        self.layers = [specific_filters(layer, init.scoped(layer.number)) for layer in self.arch.layers]
        self.sizes: dict[int, list[int]] = {}

    def add_task(self, context: TaskContext) -> None:
        height, width = self.arch.layers[-1].out_size
        n_features = self.units[-1] * height * width
        init = self.initializer("task", context.visit, "head")
        head = head_tensors(self.arch, context.task.n_classes, init, n_features)
        if self.sizes:
            head[0]["weight"].mul_(HEAD_START)
        self.heads[context.number] = head

    @property
    def units(self) -> list[int]:
        """Units per layer now."""
        return [len(layer["bias"]) for layer in self.layers]

    def begin_task(self, context: TaskContext) -> None:
        self.epoch, self.reached, self.n_split, self.fit_loss = 0, None, 0, math.nan
        self.before = [{name: t.detach().clone() for name, t in layer.items()} for layer in self.layers]
        self.phase = "revisit" if context.number in self.heads else "head" if self.sizes else "first"
        super().begin_task(context)

    def features(self, number: int, images: Tensor) -> Tensor:
        """Flattened channel first, so that the features of new units come last."""
        x, sizes = images.to(self.env.compute_dtype), self.sizes.get(number, self.units)
        for layer, tensors, n in zip(self.arch.layers, self.layers, sizes, strict=True):
            weight = tensors["weight"][:n, : x.shape[1]]
            x = activate(convolve(x, weight, tensors["bias"][:n], layer), layer)
        return x.flatten(1).to(self.env.dtype)  # (B, C * H * W)

    @property
    def _head_only(self) -> bool:
        return self.phase in ("head", "revisit")

    def trainable(self) -> list[Tensor]:
        head = tensors_of(self.heads[self.current.number])
        return head if self._head_only else tensors_of(self.layers) + head

    def renew_optimizer(self) -> None:
        """Also the masks of what this phase may change, None = all of it."""
        super().renew_optimizer()
        self.masks: list[Tensor | None] = [None] * len(self.optimizer.parameters)
        if self.phase == "retrain":
            self.masks = surgery.masks_of_reached(self.layers, self.heads[self.current.number], self.reached)
        elif self.phase in ("expand", "adapt"):
            new = surgery.masks_of_new(self.layers, self.before)
            self.masks[: len(new)] = new

    def regularise(self, gradients: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
        """L2 and drift penalties, then the phase's masks."""
        self.starts = [weight.clone() for weight in self._sparse()]
        parameters = [p.detach() for p in self.optimizer.parameters]
        gradients = list(gradients)
        if not self._head_only:
            gradients = list(torch._foreach_add(gradients, parameters, alpha=self.spec.den.l2))
        if self.phase == "retrain":
            before = tensors_of(self.before)
            pull = torch._foreach_sub(parameters[: len(before)], before)
            drifted = torch._foreach_add(gradients[: len(before)], pull, alpha=self.spec.den.drift)
            gradients[: len(before)] = drifted
        return [g if mask is None else g * mask for g, mask in zip(gradients, self.masks, strict=True)]

    def _sparse(self) -> list[Tensor]:
        """What the phase's sparse penalties act on, as views."""
        if self.phase == "head":
            return [surgery.head_connections(self.heads[self.current.number], self.units[-1])]
        if self.phase == "first":
            return [layer["weight"].detach() for layer in self.layers]
        if self.phase == "expand":
            pairs = zip(self.layers, self.before, strict=True)
            return [layer["weight"].detach()[len(old["bias"]) :] for layer, old in pairs]
        return []

    @torch.no_grad()
    def after_step(self, lr: float) -> None:
        """The proximal steps, as shares of the step just taken (its root mean square over the tensor)."""
        connection = (0, 2) if self.phase == "head" else (2, 3)
        for weight, start in zip(self._sparse(), self.starts, strict=True):
            taken = surgery.root_mean_square(weight - start)
            surgery.shrink(weight, self.spec.den.l1 * taken, connection)
            if self.phase == "expand":
                surgery.shrink(weight, self.spec.den.group_lasso * taken, (1, 2, 3))

    def end_epoch(self) -> EpochReport:
        report = super().end_epoch()
        self.epoch += 1
        if self.phase in PHASES:
            self._advance()
        report.extra = {f"units_{number}": n for number, n in enumerate(self.units, start=1)} | self._changes()
        return report

    def _changes(self) -> dict[str, float]:
        """What the task has done to the network so far, summed over layers."""
        reached = math.nan if self.reached is None else sum(int(units.sum()) for units in self.reached)
        new = sum(self.units) - sum(len(layer["bias"]) for layer in self.before)
        return {"reached": reached, "added": new - self.n_split, "split": self.n_split, "fit_loss": self.fit_loss}

    def _advance(self) -> None:
        """Enter the phase of the next epoch, passing through those that have no epoch of their own."""
        ends = self._phase_ends()
        while self.phase != "adapt" and self.epoch >= ends[self.phase]:
            following = PHASES[PHASES.index(self.phase) + 1]
            if following == "expand":
                can_grow = self.epoch < ends["expand"]
                if can_grow and not self._lacks_units():
                    return
                following = "expand" if can_grow else "adapt"
            self._enter(following)

    def _lacks_units(self) -> bool:
        """Is the retrained network's loss too large? Measured once, when selective retraining ends."""
        if math.isnan(self.fit_loss):
            self.fit_loss = self._training_loss()
        return self.fit_loss > self.spec.den.loss_threshold

    @torch.no_grad()
    def _training_loss(self) -> float:
        """Mean cross-entropy over the task's training images, without dropout."""
        split, number = self.current.task.train, self.current.number
        total = torch.zeros((), device=self.env.device, dtype=self.env.dtype)
        for index in torch.arange(len(split), device=self.env.device).split(self.spec.optim.batch_size):
            images, labels = split.batch(index)
            total += F.cross_entropy(self.predict(number, images), labels, reduction="sum")
        return float(total) / len(split)

    def _phase_ends(self) -> dict[str, int]:
        """Last epoch of each phase."""
        epochs, shares = self.current.epochs, self.spec.den.phases
        ends = [round(epochs * share / sum(shares)) for share in accumulate(shares)]
        return dict(zip(PHASES, [max(1, ends[0]), *ends[1:]], strict=True))

    @torch.no_grad()
    def _enter(self, phase: str) -> None:
        number, den = self.current.number, self.spec.den
        if phase == "retrain":
            self.reached = surgery.walk_back(self.layers, self.heads[number], den.selection_threshold)
        elif phase == "expand":
            init = self.initializer("grow", self.current.visit)
            surgery.expand(self.layers, self.heads[number], den.expansion, init)
        else:
            surgery.drop_useless(self.layers, self.heads[number], self.before, den.sparsity_threshold)
            counts = surgery.split_drifted(self.layers, self.heads[number], self.before, den.split_threshold)
            self.n_split = sum(counts)
        self.phase = phase
        self.renew_optimizer()

    def end_task(self) -> None:
        if self.phase in PHASES and self.phase != "adapt":
            self._enter("adapt")  # training was too short to come here: clean up all the same
        self.sizes.setdefault(self.current.number, self.units)
        super().end_task()

    def stored_tensors(self) -> dict[str, list[Tensor]]:
        return {"shared": tensors_of(self.layers)} | {f"task{n}": tensors_of(h) for n, h in self.heads.items()}
