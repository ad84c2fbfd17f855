"""What all methods with transfer configurations share: knowledge, tasks, task end, roll-back, frozen tasks.

ConfiguredLearner
├── Lasem           a prior that mini-batches update, over all configurations
├── FixedPosterior  constant weights over all configurations (Section 4.3)
├── Static          weight 1 on one configuration
└── SingleTask      the same, on the configuration without transfer
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from lasem_core.data.stream import Batch
from lasem_core.em import Prior
from lasem_core.learners.open_task import EMTask, OpenTask
from lasem_core.learners.protocol import Environment, EpochReport, Learner, TaskContext
from lasem_core.learners.pruning import Search
from lasem_core.model import transfer
from lasem_core.model.layers import head_tensors
from lasem_core.model.network import TaskNetwork, TaskTensors, Trie
from lasem_core.model.optim import RMSProp
from lasem_core.model.transfer import Initializer, Sharing, Tensors, specific_filters
from lasem_core.spec.architecture import Architecture
from lasem_core.spec.configs import ConfigSpace, TransferConfig


class ConfiguredLearner(Learner):
    """A learner whose tasks each end in one transfer configuration."""

    likelihood: str | None = None  # the E-step's likelihood; None: no E-step

    def __init__(self, env: Environment):
        super().__init__(env)
        self.arch, self.sharing = self.body()
        self.space = self.search_space()
        self.shared: list[Tensors | None] = [None] * self.arch.depth
        self.transferred_before = [False] * self.arch.depth
        self.tasks: dict[int, TaskTensors] = {}
        self.chosen: dict[int, TransferConfig] = {}
        self.undecided: dict[int, dict[str, Any]] = {}  # by task: the belief that its next visit begins with
        self.open: OpenTask | None = None
        self._tries: dict[tuple[TransferConfig, ...], Trie] = {}

    def body(self) -> tuple[Architecture, Sharing]:
        """The network's layers, and how they are shared."""
        return self.env.arch, transfer.sharing(self.spec)

    def search_space(self) -> ConfigSpace:
        """The configurations a new task is trained with."""
        raise NotImplementedError

    def initial_prior(self) -> Prior:
        """The belief a new task starts from, if there is more than one configuration to believe in."""
        raise NotImplementedError

    def begin_task(self, context: TaskContext) -> None:
        self._init_shared(context.visit)
        if context.number not in self.tasks:
            self.tasks[context.number] = self._new_task(context)
        self.open = self._opened(context, _clone(self.shared))

    def _new_task(self, context: TaskContext) -> TaskTensors:
        trie, init = self._trie(self.space.configs), self._init("task", context.visit)
        head = head_tensors(self.arch, context.task.n_classes, init.scoped("head"))
        return TaskTensors.create(self.arch.layers, self.sharing, trie, specific_filters, head, init)

    def _init_shared(self, visit: int) -> None:
        """Shared tensors are made once, or anew until some task has transferred them (released code, item 20)."""
        usable = self._trie(self.space.configs).transferred
        for position, layer in enumerate(self.arch.layers):
            again = self.spec.em.shared_init == "until-transferred" and not self.transferred_before[position]
            if usable[position] and (self.shared[position] is None or again):
                init = self._init("shared", layer.number, visit if again else 0)
                self.shared[position] = self.sharing.init_shared(layer, init)

    def _opened(self, context: TaskContext, before: list[Tensors | None]) -> OpenTask:
        """A new task is trained with the whole space, a finished one with its configuration alone."""
        chosen, belief, em = self.chosen.get(context.number), self.undecided.get(context.number), self.spec.em
        trie = self._trie((chosen,) if chosen is not None and belief is None else self.space.configs)
        certain = len(trie) == 1  # its posterior is 1
        prior = Prior(torch.ones_like(trie.bits[:, 0])) if certain else self.initial_prior()
        if belief is not None:
            prior.load(deepcopy(belief))
            em = em.model_copy(update={"start": 0, "temper": 0.0})  # its filters are trained
        network = self._network(context.number)
        optimizer = RMSProp([t.requires_grad_(True) for t in self.trained(network)], self.spec.optim)
        likelihood = None if certain else self.likelihood
        held_out = context.task.valid if em.evidence == "held-out" else None
        search = Search(network, trie, prior, optimizer, likelihood, em, held_out)
        return EMTask(context, before, search, self.spec.schedule.recorded)

    def trained(self, network: TaskNetwork) -> list[Tensor]:
        """What the open task's gradient steps change."""
        return network.parameters()

    def train_step(self, batch: Batch) -> None:
        self.open.step(batch)

    def end_epoch(self) -> EpochReport:
        return self.open.report()

    def end_task(self) -> None:
        """Choose, drop what the choice does not use, roll the other shared layers back (released code, items 18-19).

        A task whose search is to go on drops nothing."""
        task, config, number = self.open, self.open.in_use, self.open.context.number
        self.chosen[number] = config
        self.undecided.pop(number, None)
        if self.goes_on(task):
            self.undecided[number] = task.search.prior.state()
        else:
            self.tasks[number].keep(config)
        for position, bit in enumerate(config.bits):
            self.transferred_before[position] |= bit
            if not bit and self.spec.em.rollback:
                self.shared[position] = task.before[position]
        for tensor in self.trained(task.network):
            tensor.requires_grad_(False)
        self.open = None

    def goes_on(self, task: OpenTask) -> bool:
        """Whether the search of a task that ends is taken up again at its next visit."""
        return False

    @torch.no_grad()
    def predict(self, task: int, images: Tensor) -> Tensor:
        in_training = self.open is not None and self.open.context.number == task
        trie = self._trie((self.open.in_use if in_training else self.chosen[task],))
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
            "undecided": self.undecided,
        }
        return state | ({"training": self.open.state()} if self.open else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.shared, self.transferred_before = state["shared"], state["transferred_before"]
        self.tasks = {n: TaskTensors(*groups) for n, groups in state["tasks"].items()}
        self.chosen = {n: TransferConfig.parse(c, self.arch.depth) for n, c in state["chosen"].items()}
        self.undecided = state.get("undecided", {})  # older models have none

    def resume_task(self, context: TaskContext, training: dict[str, Any]) -> None:
        self.open = self._opened(context, training["before"])
        self.open.load(training)


def _clone(groups: list[Tensors | None]) -> list[Tensors | None]:
    return [None if g is None else {name: t.detach().clone() for name, t in g.items()} for g in groups]
