"""A task in training: what there is from its beginning to its end, and what a checkpoint keeps of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from lasem_core.common.errors import LasemError
from lasem_core.data.stream import Batch
from lasem_core.learners.protocol import EpochReport, TaskContext
from lasem_core.learners.pruning import RULES, Search
from lasem_core.learners.trace import PosteriorTrace
from lasem_core.model.network import TaskNetwork
from lasem_core.model.transfer import Tensors
from lasem_core.spec.configs import TransferConfig
from lasem_core.spec.parts import EMSpec


class OpenTask(ABC):
    """What `ConfiguredLearner` asks of the task it trains.

    Arguments:
        context: what is known of the task.
        before: per layer the shared tensors at its beginning, which roll-back returns to.
        network: the task's network.
    """

    def __init__(self, context: TaskContext, before: list[Tensors | None], network: TaskNetwork):
        self.context, self.before, self.network = context, before, network

    @property
    @abstractmethod
    def in_use(self) -> TransferConfig:
        """The configuration that stands for the task; fixed between two epoch ends."""

    @abstractmethod
    def step(self, batch: Batch) -> None:
        """Learn from one mini-batch, without waiting for the device."""

    @abstractmethod
    def report(self) -> EpochReport:
        """Close the epoch."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What the training goes on from."""

    @abstractmethod
    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""


class EMTask(OpenTask):
    """Training by EM; the configuration in use is the one with the most votes.

    Arguments: recorded, mini-batches whose posteriors are recorded one by one.
    """

    def __init__(self, context: TaskContext, before: list[Tensors | None], search: Search, recorded: int):
        super().__init__(context, before, search.network)
        trie = search.trie
        self.search = search
        self.rule = RULES[search.em.prune if len(trie) > 1 else "off"](search)
        self.trace = PosteriorTrace([str(config) for config in trie.configs], trie.bits, recorded)
        self._in_use: TransferConfig | None = None
        self.certainty = 0.0  # the largest posterior, mean over the last epoch
        self.n_unjudged, self.n_tempered = self._opening(search.em) if search.likelihood else (0, 0)

    def _opening(self, em: EMSpec) -> tuple[int, float]:
        """Mini-batches that judge no configuration, and those after them whose likelihood is tempered."""
        if not (em.start or em.temper):
            return 0, 0
        if 0 < self.context.epochs <= em.start and em.revisit == "fixed":
            raise LasemError(
                f"em.start {em.start}: in a task of {self.context.epochs} epochs no mini-batch would judge a "
                f"configuration; use less than {self.context.epochs}"
            )
        n = self.context.n_batches(self.search.optimizer.spec.batch_size)
        return em.start * n, em.temper * (self.context.epochs - em.start) * n

    @property
    def in_use(self) -> TransferConfig:
        if self._in_use is None:
            self._in_use = self.search.trie.configs[int(self.search.prior.votes.argmax())]
        return self._in_use

    def step(self, batch: Batch) -> None:
        number = self.trace.steps + 1 - self.n_unjudged  # counted from 1, among those that judge
        self.search.beta = min(1.0, number / max(self.n_tempered, 1))
        self.trace.add(self.rule.step(batch) if number > 0 else self.rule.unjudged_step(batch))

    def report(self) -> EpochReport:
        report = self.trace.report(self.search.prior.votes)
        self._in_use = TransferConfig.parse(report.config, self.network.arch.depth)
        self.certainty = report.max_weight
        report.extra = self.rule.report()
        return report

    def state(self) -> dict[str, Any]:
        optimizer, prior = self.search.optimizer.state(), self.search.prior.state()
        return {"before": self.before, "optimizer": optimizer, "prior": prior, "in_use": str(self.in_use),
                "steps": self.trace.steps, "rule": self.rule.state(), "certainty": self.certainty}  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        self.search.optimizer.load(state["optimizer"])
        self.search.prior.load(state["prior"])
        self.rule.load(state["rule"])
        self.before, self.trace.steps, self.certainty = state["before"], state["steps"], state["certainty"]
        self._in_use = TransferConfig.parse(state["in_use"], self.network.arch.depth)
