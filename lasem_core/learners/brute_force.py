"""Task-wise search over all configurations (paper, Appendix C): the upper bound that LASEM is compared with.

BruteForce.train_task
└── for each configuration of the space        (through `env.map`: they do not depend on each other)
    └── Candidate                              `static` with this configuration, from the same starting point

The candidate of the highest best-over-epochs validation accuracy wins (ties: the lowest index) and is kept as its
last epoch left it. Its log is the visit's, with the seconds of all candidates. Candidates trained one after another
are checkpointed within and between; with `jobs` above 1 a task that was cut off starts again.

Switches of the released code (its item 60): `first_task=fixed` does not search the first task (HPS: no transfer;
TF, DF-CNN: all layers), `tie_first_two` searches the second for both: the first task takes its configuration over.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lasem_core.data.stream import Batch
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.learners.protocol import Environment, EpochReport, Fit, TaskContext, VisitLog
from lasem_core.spec.configs import ConfigSpace, TransferConfig

Trained = tuple[dict[str, Any], VisitLog]  # a candidate's state and log


class Candidate(ConfiguredLearner):
    """One configuration's training."""

    def __init__(self, env: Environment, config: TransferConfig):
        self.config = config
        super().__init__(env)

    def search_space(self) -> ConfigSpace:
        return ConfigSpace((self.config,))


@dataclass
class Contest:
    """A visit in training: what every candidate starts from, and how far they have come.

    Attributes:
        start: the learner's state before the visit.
        candidate: the one in training; at the end the best.
        best: configuration, state and log of the best so far.
        seconds: training's and evaluation's, of all candidates.
    """

    context: TaskContext
    start: dict[str, Any]
    candidate: Candidate
    best: dict[str, Any] | None = None
    seconds: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def take(self, config: TransferConfig, state: dict[str, Any], log: VisitLog) -> None:
        """Count a finished candidate in."""
        self.seconds[0] += log.train_seconds
        self.seconds[1] += log.eval_seconds
        if self.best is None or log.best_valid > self.best["log"]["best_valid"]:
            self.best = {"config": str(config), "state": state, "log": asdict(log)}

    def state(self) -> dict[str, Any]:
        candidate = {"config": str(self.candidate.config), "state": self.candidate.state_dict()}
        return {"candidate": candidate, "best": self.best, "seconds": self.seconds}


class BruteForce(ConfiguredLearner):
    """Every configuration per task; the best on validation stays.

    `scores` holds, per visit, the best validation accuracy of each configuration tried.
    """

    def __init__(self, env: Environment):
        super().__init__(env)
        self.scores: dict[int, dict[str, float]] = {}

    def search_space(self) -> ConfigSpace:
        return self.spec.space

    def begin_task(self, context: TaskContext) -> None:
        start = self.state_dict()
        self.scores[context.visit] = {}
        self.open = Contest(context, start, self._candidate(self._options(context)[0], context, start))

    def _options(self, context: TaskContext) -> Sequence[TransferConfig]:
        """What this visit tries: a revisited task is only trained on."""
        if context.number in self.chosen:
            return (self.chosen[context.number],)
        if not self.chosen and self.spec.brute_force.first_task == "fixed":
            return (TransferConfig.parse("none" if self.spec.base == "hps" else "all", self.arch.depth),)
        return self.space.configs

    def _candidate(self, config: TransferConfig, context: TaskContext, start: dict[str, Any]) -> Candidate:
        """A training of `config` from the knowledge in `start`, its task begun."""
        candidate = Candidate(self.env, config)
        candidate.load_state_dict(copy.deepcopy(start))
        is_second = len(self.chosen) == 1 and context.number not in self.chosen
        if is_second and self.spec.brute_force.tie_first_two:
            tie(candidate, next(iter(self.chosen)), config)
        candidate.begin_task(context)
        return candidate

    def train_task(self, fit: Fit) -> VisitLog:
        contest, scores = self.open, self.scores[self.open.context.visit]
        todo = [config for config in self._options(contest.context) if str(config) not in scores]
        for config, (state, log) in zip(todo, self._trained(contest, todo, fit), strict=True):
            scores[str(config)] = log.best_valid
            contest.take(config, state, log)
        contest.candidate = self._resumed(contest.best, contest.context)
        train_seconds, eval_seconds = contest.seconds
        return replace(VisitLog(**contest.best["log"]), train_seconds=train_seconds, eval_seconds=eval_seconds)

    def _trained(self, contest: Contest, todo: Sequence[TransferConfig], fit: Fit) -> Iterable[Trained]:
        if self.env.map is map:
            return map(partial(self._train_here, contest, fit), todo)
        candidates = (self._candidate(config, contest.context, contest.start) for config in todo)
        return self.env.map(partial(_train_apart, fit.unwatched()), candidates)

    def _train_here(self, contest: Contest, fit: Fit, config: TransferConfig) -> Trained:
        if contest.candidate.config == config:  # the first one, or the one a checkpoint was left in: the loop's log
            log = fit(contest.candidate)
        else:
            contest.candidate = self._candidate(config, contest.context, contest.start)
            log = fit(contest.candidate, VisitLog())
        return contest.candidate.state_dict(), log

    def _resumed(self, saved: dict[str, Any], context: TaskContext) -> Candidate:
        candidate = Candidate(self.env, TransferConfig.parse(saved["config"], self.arch.depth))
        candidate.load_state_dict(saved["state"])
        candidate.resume_task(context, saved["state"]["training"])
        return candidate

    def train_step(self, batch: Batch) -> None:
        self.open.candidate.train_step(batch)

    def end_epoch(self) -> EpochReport:
        return self.open.candidate.end_epoch()

    def end_task(self) -> None:
        candidate, self.open = self.open.candidate, None
        candidate.end_task()
        super().load_state_dict(candidate.state_dict())

    def predict(self, task: int, images: Tensor) -> Tensor:
        return self.open.candidate.predict(task, images) if self.open else super().predict(task, images)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"scores": self.scores}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.scores = state["scores"]

    def resume_task(self, context: TaskContext, training: dict[str, Any]) -> None:
        start, candidate = self.state_dict(), self._resumed(training["candidate"], context)
        self.open = Contest(context, start, candidate, training["best"], training["seconds"])


def _train_apart(fit: Fit, candidate: Candidate) -> Trained:
    log = fit(candidate, VisitLog())
    return candidate.state_dict(), log


@torch.no_grad()
def tie(candidate: Candidate, number: int, config: TransferConfig) -> None:
    """Give the finished task `number` the configuration `config` without changing its filters."""
    task = candidate.tasks[number]
    for position, bit in enumerate(config.bits):
        if bit == candidate.chosen[number].bits[position]:
            continue
        if bit:  # only hard sharing comes here: its filters are its shared tensors
            candidate.shared[position], task.specific[position] = task.specific[position], None
            task.adapters[position] = {}
            candidate.transferred_before[position] = True
        else:
            weight, bias = candidate.sharing.filters(candidate.shared[position], task.adapters[position])
            task.specific[position], task.adapters[position] = {"weight": weight, "bias": bias.clone()}, None
    candidate.chosen[number] = config
