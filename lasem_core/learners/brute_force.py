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
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lasem_core.data.stream import Batch
from lasem_core.em import Prior
from lasem_core.learners.configured import ConfiguredLearner
from lasem_core.learners.protocol import Environment, EpochReport, Fit, TaskContext, VisitLog
from lasem_core.spec.configs import ConfigSpace, TransferConfig


class Candidate(ConfiguredLearner):
    """One configuration's training."""

    def __init__(self, env: Environment, config: TransferConfig):
        self.config = config
        super().__init__(env)

    def search_space(self) -> ConfigSpace:
        return ConfigSpace((self.config,))

    def initial_prior(self) -> Prior:
        return Prior(torch.ones(1, device=self.env.device, dtype=self.env.dtype))


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
        self.start = super().state_dict()  # while no task is open: what every candidate starts from
        self.current, self.best, self.seconds = context, None, [0.0, 0.0]
        self.scores[context.visit] = {}
        self.candidate = self._candidate(self._options()[0])

    def _options(self) -> Sequence[TransferConfig]:
        """What this visit tries: a revisited task is only trained on."""
        if self.current.number in self.chosen:
            return (self.chosen[self.current.number],)
        if not self.chosen and self.spec.brute_force.first_task == "fixed":
            return (TransferConfig.parse("none" if self.spec.base == "hps" else "all", self.arch.depth),)
        return self.space.configs

    def _candidate(self, config: TransferConfig) -> Candidate:
        """A training of `config` from today's knowledge, not yet begun."""
        candidate = Candidate(self.env, config)
        candidate.load_state_dict(copy.deepcopy(self.start))
        is_second = len(self.chosen) == 1 and self.current.number not in self.chosen
        if is_second and self.spec.brute_force.tie_first_two:
            tie(candidate, next(iter(self.chosen)), config)
        candidate.begin_task(self.current)
        return candidate

    def train_task(self, fit: Fit) -> VisitLog:
        todo = [config for config in self._options() if str(config) not in self.scores[self.current.visit]]
        for config, (state, log) in zip(todo, self._trained(todo, fit), strict=True):
            self._compare(config, state, log)
        self.candidate = self._resumed(self.best)
        return replace(VisitLog(**self.best["log"]), train_seconds=self.seconds[0], eval_seconds=self.seconds[1])

    def _trained(self, todo: Sequence[TransferConfig], fit: Fit) -> Iterable[tuple[dict[str, Any], VisitLog]]:
        if self.env.map is map:
            return map(partial(self._train_here, fit), todo)
        return self.env.map(partial(_train_apart, fit.unwatched()), (self._candidate(config) for config in todo))

    def _train_here(self, fit: Fit, config: TransferConfig) -> tuple[dict[str, Any], VisitLog]:
        if self.candidate.config == config:  # the first one, or the one a checkpoint was left in: the loop's log
            log = fit(self.candidate)
        else:
            self.candidate = self._candidate(config)
            log = fit(self.candidate, VisitLog())
        return self.candidate.state_dict(), log

    def _compare(self, config: TransferConfig, state: dict[str, Any], log: VisitLog) -> None:
        self.scores[self.current.visit][str(config)] = log.best_valid
        self.seconds[0] += log.train_seconds
        self.seconds[1] += log.eval_seconds
        if self.best is None or log.best_valid > self.best["log"]["best_valid"]:
            self.best = {"config": str(config), "state": state, "log": asdict(log)}

    def _resumed(self, saved: dict[str, Any]) -> Candidate:
        candidate = Candidate(self.env, TransferConfig.parse(saved["config"], self.arch.depth))
        candidate.load_state_dict(saved["state"])
        candidate.resume_task(self.current, saved["state"]["training"])
        return candidate

    def train_step(self, batch: Batch) -> None:
        self.candidate.train_step(batch)

    def end_epoch(self) -> EpochReport:
        return self.candidate.end_epoch()

    def end_task(self) -> None:
        self.candidate.end_task()
        super().load_state_dict(self.candidate.state_dict())
        self.current = None

    def predict(self, task: int, images: Tensor) -> Tensor:
        return self.candidate.predict(task, images) if self.current else super().predict(task, images)

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"scores": self.scores}

    def _training_state(self) -> dict[str, Any]:
        candidate = {"config": str(self.candidate.config), "state": self.candidate.state_dict()}
        return {"candidate": candidate, "best": self.best, "seconds": self.seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.scores = state["scores"]

    def resume_task(self, context: TaskContext, training: dict[str, Any]) -> None:
        self.start = super().state_dict()
        self.current, self.best, self.seconds = context, training["best"], training["seconds"]
        self.candidate = self._resumed(training["candidate"])


def _train_apart(fit: Fit, candidate: Candidate) -> tuple[dict[str, Any], VisitLog]:
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
