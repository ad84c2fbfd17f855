"""Joint training on all tasks seen so far: the bound that forgets least, because it keeps every task's data.

One network as in `fine-tune` (all convolutions shared, a head per task). At each step of a visit one seen task is
drawn, each with the same probability, and the step learns from a mini-batch of it, so that a visit costs as
many steps as for every other method (Caruana 1997, "Multitask learning", in the stochastic form). The kept data
are not part of `stored_tensors`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lasem_core.common import keyed_random
from lasem_core.data.stream import Batch
from lasem_core.em import Prior
from lasem_core.learners.fine_tune import FineTune
from lasem_core.learners.protocol import TaskContext
from lasem_core.model.network import TaskNetwork
from lasem_core.model.optim import RMSProp
from lasem_core.spec.configs import TransferConfig


class Joint(FineTune):
    """Shared convolutions and all heads seen so far, trained together."""

    def _train_with(self, context: TaskContext, configs: Sequence[TransferConfig], prior: Prior) -> None:
        super()._train_with(context, configs, prior)
        own = [tensor for task in self.tasks.values() for tensor in task.tensors()]
        self.optimizer = RMSProp([t.requires_grad_(True) for t in self.shared_tensors() + own], self.spec.optim)

    def sample(self, batch: Batch) -> tuple[TaskNetwork, Batch]:
        seen = list(self.tasks)
        number = seen[keyed_random.key("joint task", *batch.key) % len(seen)]
        if number == self.current.number:
            return self.network, batch
        return self._network(number), self._of(number, batch)

    def _of(self, number: int, batch: Batch) -> Batch:
        """As many images of another seen task, drawn with replacement."""
        split = self.current.seen[number].train
        stream = torch.zeros(1, dtype=torch.int64, device=self.env.device)
        draws = keyed_random.uniform(keyed_random.key("joint batch", *batch.key), stream, len(batch.labels))[0]
        images, labels = split.batch((draws * len(split)).long())
        return Batch(images, labels, batch.lr, batch.key)

    def end_task(self) -> None:
        super().end_task()
        for tensor in self.optimizer.parameters:
            tensor.requires_grad_(False)
