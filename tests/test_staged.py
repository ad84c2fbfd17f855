"""A network of stages: the paper's gives the numbers of the built-in one, any other those of separate networks."""

import copy

import pytest
import torch
from small_stages import loaders, network
from test_network import data, small_network
from torch import nn

from lasem_core import LayerTransfer
from lasem_core.em import CountPrior, em_step, expected_loss
from lasem_core.model.layers import activate
from lasem_core.model.network import TaskTensors, Trie
from lasem_core.model.optim import RMSProp
from lasem_core.model.stage import Stage
from lasem_core.model.staged import StagedNetwork, Stages, StageSharing
from lasem_core.model.transfer import Initializer
from lasem_core.spec.configs import ConfigSpace
from lasem_core.spec.parts import ModelSpec, OptimSpec

CPU, F64 = torch.device("cpu"), torch.float64
BASES = ("hps", "tf", "df-cnn")
INIT = Initializer(ModelSpec(), (0,), CPU, F64)


class Paper(nn.Module):
    """Convolution, max-pool, ReLU; behind the last layer features lie as the paper's network has them."""

    def __init__(self, layer, is_last):
        super().__init__()
        self.layer, self.is_last = layer, is_last
        self.conv = nn.Conv2d(layer.in_channels, layer.out_channels, layer.kernel, padding=layer.kernel // 2)

    def forward(self, x):
        y = activate(self.conv(x), self.layer)
        return y.permute(0, 2, 3, 1).flatten(1) if self.is_last else y


class PaperHead(nn.Sequential):
    def __init__(self, n_features, n_classes):
        super().__init__(nn.Linear(n_features, 9), nn.ReLU(), nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, n_classes))


def renamed(group):
    return group and {f"conv.{name}": tensor for name, tensor in group.items()}


def as_stages(network, base):
    """The same tensors under the names of stages, copied."""
    network = copy.deepcopy(network)
    layers = network.arch.layers
    factories = [lambda layer=layer: Paper(layer, layer is layers[-1]) for layer in layers]
    stages = Stages(factories, PaperHead, base, network.arch.dropout, INIT)
    stages.try_out(data().images, 3)
    tasks = network.task
    (one, two, three) = tasks.head
    head = {f"{2 * i}.{name}": t for i, group in enumerate((one, two, three)) for name, t in group.items()}
    task = TaskTensors([renamed(a) for a in tasks.adapters], [renamed(s) for s in tasks.specific], [head])
    shared = [renamed(s) for s in network.shared]
    return StagedNetwork(stages, StageSharing(network.sharing), shared, task, F64, head=stages.head(3))


def gradients(network, trie, batch):
    weights = torch.softmax(torch.arange(len(trie), dtype=F64), 0)
    loss = expected_loss(network, trie, network.features(batch.images, trie), weights, batch, 0)
    return torch.autograd.grad(loss, network.parameters(), allow_unused=True)


def close(one, two):
    torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


@pytest.mark.parametrize("base", BASES)
def test_the_papers_network_as_stages_gives_the_same_numbers(base):
    paper, trie = small_network(base)
    mine, batch = as_stages(paper, base), data()
    features = [network.features(batch.images, trie) for network in (paper, mine)]
    close(*features)
    close(paper.logits(features[0]), mine.logits(features[1]))
    close(paper.dropout_mask(trie, batch, 1), mine.dropout_mask(trie, batch, 1))
    for one, two in zip(gradients(paper, trie, batch), gradients(mine, trie, batch), strict=True):
        close(one, two)


@pytest.mark.parametrize("base", BASES)
def test_five_em_steps_give_the_same_posteriors_and_parameters(base):
    paper, trie = small_network(base)
    mine, batch = as_stages(paper, base), data()
    started = [p.detach().clone() for p in mine.parameters()]
    runs = []
    for net in (paper, mine):
        prior = CountPrior(torch.ones(len(trie), dtype=F64))
        optimizer = RMSProp(net.parameters(), OptimSpec())
        runs.append([em_step(net, trie, prior, optimizer, batch, "mean", 2) for _ in range(5)])
    for one, two in zip(*runs, strict=True):
        close(one.posterior, two.posterior)
        close(one.loss, two.loss)
    for one, two, start in zip(paper.parameters(), mine.parameters(), started, strict=True):
        close(one, two)
        assert not torch.equal(two, start)


@pytest.mark.parametrize("base", BASES)
def test_trie_equals_separate_networks(base):
    stages = Stages(network(), nn.Linear, base, 0.0, INIT)
    paper, _ = small_network(base)
    sharing, space = StageSharing(paper.sharing), ConfigSpace.full(3)
    x = loaders(0)[1].dataset.tensors[0][:5].double()
    stages.try_out(x, 3)
    trie = Trie.build(space.configs, CPU, F64)
    shared = [sharing.init_shared(stage, INIT.scoped("shared", stage.number)) for stage in stages.layers]
    init = INIT.scoped("task")
    task = TaskTensors.create(stages.layers, sharing, trie, Stage.fresh, [stages.head(3).fresh(init)], init)
    mine = StagedNetwork(stages, sharing, shared, task, F64, head=stages.head(3))
    logits = mine.logits(mine.features(x, trie))
    for position, config in enumerate(space):
        y = x
        for n, (stage, bit) in enumerate(zip(stages.layers, config.bits, strict=True)):
            module = copy.deepcopy(stage.module)
            own = sharing.filters(shared[n], task.adapters[n]) if bit else task.specific[n]
            module.load_state_dict({name: own[name] for name in module.state_dict()})
            y = module(y)
        close(logits[position], y @ task.head[0]["weight"].T + task.head[0]["bias"])


def test_a_stage_runs_once_per_branch_and_level():
    calls = []

    class Counted(nn.Linear):
        def forward(self, x):
            calls.append(len(x))
            return super().forward(x)

    made = LayerTransfer([lambda: Counted(4, 4) for _ in range(3)], optim={"lr": 1e-2})
    x, y = torch.randn(5, 4), torch.arange(5) % 2
    made.fit([(x, y)], n_classes=2, epochs=1)
    assert calls[-6:] == [5, 5, 10, 10, 20, 20]
