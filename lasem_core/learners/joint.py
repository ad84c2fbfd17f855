"""Joint training on all tasks seen so far: the bound that forgets least, because it keeps every task's data.

One network as in `fine-tune` (all convolutions shared, a head per task). At each step of a visit one seen task is
drawn, each with the same probability, and the step learns from a mini-batch of it, so that a visit costs as
many steps as for every other method (Caruana 1997, "Multitask learning", in the stochastic form). The kept data
are not part of `stored_tensors`.
"""

from __future__ import annotations

from torch import Tensor

from lasem_core.common import keyed_random
from lasem_core.data.stream import Batch
from lasem_core.learners.fine_tune import FineTune
from lasem_core.model.network import TaskNetwork


class Joint(FineTune):
    """Shared convolutions and all heads seen so far, trained together."""

    def trained(self, network: TaskNetwork) -> list[Tensor]:
        return self.shared_tensors() + [tensor for task in self.tasks.values() for tensor in task.tensors()]

    def sample(self, batch: Batch) -> tuple[TaskNetwork, Batch]:
        seen = list(self.tasks)
        number = seen[keyed_random.key("joint task", *batch.key) % len(seen)]
        if number == self.open.context.number:
            return self.open.network, batch
        return self._network(number), self.open.context.seen[number].train.in_place_of(batch, "joint batch")
