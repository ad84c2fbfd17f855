"""What all methods with transfer configurations share: knowledge, tasks, task end, roll-back, frozen tasks.

ConfiguredLearner
├── Lasem           a prior that mini-batches update, over all configurations
├── FixedPosterior  constant weights over all configurations (Section 4.3)
├── Static          weight 1 on one configuration
└── SingleTask      the same, on the configuration without transfer
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lasem_core.data.stream import Batch
from lasem_core.em import Prior
from lasem_core.learners.protocol import Environment, EpochReport, Learner, TaskContext
from lasem_core.learners.pruning import RULES, Search
from lasem_core.learners.trace import PosteriorTrace
from lasem_core.model import transfer
from lasem_core.model.network import TaskNetwork, TaskTensors, Trie
from lasem_core.model.optim import RMSProp
from lasem_core.model.transfer import Initializer, Tensors
from lasem_core.spec.configs import ConfigSpace, TransferConfig


class ConfiguredLearner(Learner):
    """A learner whose tasks each end in one transfer configuration."""

    likelihood: str | None = None  # the E-step's likelihood; None: no E-step

    def __init__(self, env: Environment):
        super().__init__(env)
        self.arch = env.arch
        self.sharing = transfer.sharing(env.spec)
        self.space = self.search_space()
        self.shared: list[Tensors | None] = [None] * self.arch.depth
        self.transferred_before = [False] * self.arch.depth
        self.tasks: dict[int, TaskTensors] = {}
        self.chosen: dict[int, TransferConfig] = {}
        self.current: TaskContext | None = None
        self._tries: dict[tuple[TransferConfig, ...], Trie] = {}

    def search_space(self) -> ConfigSpace:
        """The configurations a new task is trained with."""
        raise NotImplementedError

    def initial_prior(self) -> Prior:
        """The belief a new task starts from."""
        raise NotImplementedError

    def begin_task(self, context: TaskContext) -> None:
        self._init_shared(context.visit)
        number, is_new = context.number, context.number not in self.tasks
        configs = self.space.configs if is_new else (self.chosen[number],)
        if is_new:
            init = self._init("task", context.visit)
            trie = self._trie(configs)
            self.tasks[number] = TaskTensors.create(self.arch, self.sharing, trie, context.task.n_classes, init)
        self._train_with(context, configs, self.initial_prior() if is_new else self._certain())
        self.before = _clone(self.shared)

    def _init_shared(self, visit: int) -> None:
        """Shared tensors are made once, or anew until some task has transferred them (released code, item 20)."""
        usable = self._trie(self.space.configs).transferred
        for position, layer in enumerate(self.arch.layers):
            again = self.spec.em.shared_init == "until-transferred" and not self.transferred_before[position]
            if usable[position] and (self.shared[position] is None or again):
                init = self._init("shared", layer.number, visit if again else 0)
                self.shared[position] = self.sharing.init_shared(layer, init)

    def _train_with(self, context: TaskContext, configs: Sequence[TransferConfig], prior: Prior) -> None:
        self.current, self.trie, self.prior = context, self._trie(configs), prior
        self.configs_trained = tuple(configs)
        self.network = self._network(context.number)
        self.optimizer = RMSProp(_trainable(self.network.parameters()), self.spec.optim)
        self.trace = PosteriorTrace([str(config) for config in configs], self.trie.bits)
        likelihood = self.likelihood if len(configs) > 1 else None  # the posterior of a single one is 1
        self.search = Search(self.network, self.trie, prior, self.optimizer, likelihood, self.spec.em)
        self.rule = RULES[self.spec.em.prune if len(configs) > 1 else "off"](self.search)
        self._in_use: TransferConfig | None = None

    @property
    def in_use(self) -> TransferConfig:
        """The configuration that stands for the open task: most counted, fixed between two epoch ends."""
        if self._in_use is None:
            self._in_use = self.configs_trained[int(self.prior.votes.argmax())]
        return self._in_use

    def train_step(self, batch: Batch) -> None:
        self.trace.add(self.rule.step(batch))

    def end_epoch(self) -> EpochReport:
        report = self.trace.report(self.prior.votes)
        self._in_use = TransferConfig.parse(report.config, self.arch.depth)
        report.extra = self.rule.report()
        return report

    def end_task(self) -> None:
        """Choose, drop what the choice does not use, roll the other shared layers back (released code, items 18-19)."""
        number, config = self.current.number, self.in_use
        self.chosen[number] = config
        self.tasks[number].keep(config)
        for position, bit in enumerate(config.bits):
            self.transferred_before[position] |= bit
            if not bit and self.spec.em.rollback:
                self.shared[position] = self.before[position]
        for tensor in self.network.parameters():
            tensor.requires_grad_(False)
        self.current = None

    @torch.no_grad()
    def predict(self, task: int, images: Tensor) -> Tensor:
        in_training = self.current is not None and self.current.number == task
        trie = self._trie((self.in_use if in_training else self.chosen[task],))
        network = self._network(task)
        return network.logits(network.features(images, trie))[0]

    def _network(self, number: int) -> TaskNetwork:
        return TaskNetwork(self.arch, self.sharing, self.shared, self.tasks[number], self.env.compute_dtype)

    def _trie(self, configs: Sequence[TransferConfig]) -> Trie:
        key = tuple(configs)
        if key not in self._tries:
            self._tries[key] = Trie.build(key, self.env.device, self.env.dtype)
        return self._tries[key]

    def _init(self, *key: object) -> Initializer:
        return Initializer(self.spec.model, (self.spec.seed, "init", *key), self.env.device, self.env.dtype)

    def _certain(self) -> Prior:
        return Prior(torch.ones(1, device=self.env.device, dtype=self.env.dtype))

    def stored_tensors(self) -> dict[str, list[Tensor]]:
        shared = [t for group in self.shared if group for t in group.values()]
        return {"shared": shared} | {f"task{n}": task.tensors() for n, task in self.tasks.items()}

    @property
    def configs(self) -> list[str]:
        return [str(self.chosen[number]) for number in sorted(self.chosen)]

    def state_dict(self) -> dict[str, Any]:
        state = {
            "shared": self.shared,
            "transferred_before": self.transferred_before,
            "tasks": {n: [t.adapters, t.specific, t.head] for n, t in self.tasks.items()},
            "chosen": {n: str(config) for n, config in self.chosen.items()},
        }
        return state | ({"training": self._training_state()} if self.current else {})

    def _training_state(self) -> dict[str, Any]:
        return {"before": self.before, "mean_squares": self.optimizer.mean_squares, "prior": self.prior.state(),
                "in_use": str(self.in_use), "steps": self.trace.steps, "rule": self.rule.state()}  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.shared, self.transferred_before = state["shared"], state["transferred_before"]
        self.tasks = {n: TaskTensors(*groups) for n, groups in state["tasks"].items()}
        self.chosen = {n: TransferConfig.parse(c, self.arch.depth) for n, c in state["chosen"].items()}

    def resume_task(self, context: TaskContext, training: dict[str, Any]) -> None:
        configs = (self.chosen[context.number],) if context.number in self.chosen else self.space.configs
        prior = self.initial_prior() if len(configs) > 1 else self._certain()
        prior.load(training["prior"])
        self._train_with(context, configs, prior)
        self.optimizer.mean_squares = training["mean_squares"]
        self.before = training["before"]
        self._in_use = TransferConfig.parse(training["in_use"], self.arch.depth)
        self.trace.steps = training["steps"]
        self.rule.load(training["rule"])


def _clone(groups: list[Tensors | None]) -> list[Tensors | None]:
    return [None if g is None else {name: t.detach().clone() for name, t in g.items()} for g in groups]


def _trainable(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.requires_grad_(True) for tensor in tensors]
