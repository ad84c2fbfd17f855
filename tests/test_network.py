"""The trie equals separate networks; a separate network is written here from the paper, layer by layer."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lasem_core.data.stream import Batch
from lasem_core.em import expected_loss
from lasem_core.model.layers import head_tensors
from lasem_core.model.network import TaskNetwork, TaskTensors, Trie
from lasem_core.model.transfer import Initializer, sharing, specific_filters
from lasem_core.spec.architecture import Architecture
from lasem_core.spec.configs import ConfigSpace, TransferConfig
from lasem_core.spec.parts import ModelSpec
from lasem_core.spec.run_spec import RunSpec

CPU, F64 = torch.device("cpu"), torch.float64
BASES = ("hps", "tf", "df-cnn")
SPACE = ConfigSpace.full(4)


def small_network(base, configs=SPACE.configs, size=12):
    model = ModelSpec(channels=(4, 5, 6, 7), pools=(1, 3, 1, 2), head=(9, 8))
    spec = RunSpec(dataset="cifar100", base=base, model=model)
    arch = Architecture.build(spec.model, (3, size, size))
    init = Initializer(spec.model, (0,), CPU, F64)
    way = sharing(spec)
    trie = Trie.build(configs, CPU, F64)
    shared = [way.init_shared(layer, init.scoped("shared", layer.number)) for layer in arch.layers]
    task_init = init.scoped("task")
    head = head_tensors(arch, 3, task_init.scoped("head"))
    task = TaskTensors.create(arch.layers, way, trie, specific_filters, head, task_init)
    network = TaskNetwork(arch, way, shared, task, F64)
    for tensor in network.parameters():
        tensor.requires_grad_(True)
    return network, trie


def separate_logits(network, config, images, mask=None):
    """One configuration, as a textbook CNN in NCHW."""
    x = images
    for position, (layer, bit) in enumerate(zip(network.arch.layers, config.bits, strict=True)):
        own = network.task.specific[position]
        if bit:
            weight, bias = network.sharing.filters(network.shared[position], network.task.adapters[position])
        else:
            weight, bias = own["weight"], own["bias"]
        x = F.relu(F.conv2d(x, weight, bias, padding=1))
        if layer.pool > 1:
            extra = -x.shape[-1] % layer.pool
            before = extra // 2
            x = F.pad(x, (before, extra - before) * 2, value=-torch.inf)
            x = F.max_pool2d(x, layer.pool)
    x = x.permute(0, 2, 3, 1).flatten(1)
    x = x if mask is None else x * mask / (1 - network.arch.dropout)
    for group in network.task.head[:-1]:
        x = F.relu(x @ group["weight"].T + group["bias"])
    return x @ network.task.head[-1]["weight"].T + network.task.head[-1]["bias"]


def data(size=12, batch=5):
    generator = torch.Generator().manual_seed(3)
    images = torch.randn(batch, 3, size, size, generator=generator, dtype=F64)
    return Batch(images, torch.tensor([0, 1, 2, 1, 0])[:batch], 0.1, (0, 0, 0))


def compare(base, configs, size=12):
    network, trie = small_network(base, configs, size)
    batch = data(size)
    features = network.features(batch.images, trie)
    weights = torch.softmax(torch.arange(len(trie), dtype=F64), 0)
    parameters = network.parameters()
    together = torch.autograd.grad(
        expected_loss(network, trie, features, weights, batch, 0), parameters, allow_unused=True
    )
    masks = network.dropout_mask(trie, batch, 0)
    loss = 0
    for i, config in enumerate(configs):
        plain = separate_logits(network, config, batch.images)
        torch.testing.assert_close(network.logits(features)[i], plain, rtol=0, atol=1e-10)
        dropped = separate_logits(network, config, batch.images, masks[i])
        loss = loss + weights[i] * F.cross_entropy(dropped, batch.labels)
        for layer, bit in enumerate(config.bits):
            extra = network.sharing.penalty([network.task.adapters[layer]]) if bit else None
            loss = loss if extra is None else loss + weights[i] * extra[0]
    apart = torch.autograd.grad(loss, parameters, allow_unused=True)
    for one, other in zip(together, apart, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("base", BASES)
def test_trie_equals_separate_networks(base):
    compare(base, SPACE.configs)


@settings(max_examples=25, deadline=None)
@given(base=st.sampled_from(BASES), picked=st.sets(st.integers(0, 15), min_size=1), size=st.integers(9, 15))
def test_any_subset_of_configurations(base, picked, size):
    compare(base, tuple(SPACE[i] for i in sorted(picked)), size)


@pytest.mark.parametrize("groups", [((1, 2), (3, 4)), ((1, 3), (2,), (4,)), ((1, 2, 3, 4),)])
def test_groups(groups):
    compare("tf", ConfigSpace.grouped(4, groups).configs)


def test_masks_differ_between_configurations_and_do_not_depend_on_company():
    network, trie = small_network("hps")
    all_masks = network.dropout_mask(trie, data(), 0)
    some = Trie.build((SPACE[3], SPACE[7]), CPU, F64)
    assert torch.equal(network.dropout_mask(some, data(), 0), all_masks[[3, 7]])
    assert len({tuple(mask.flatten().tolist()) for mask in all_masks}) == 16
    assert 0.4 < all_masks.double().mean() < 0.6


def test_order_is_checked():
    with pytest.raises(ValueError, match="canonical order"):
        Trie.build((SPACE[3], SPACE[1]), CPU, F64)


def test_layer_evaluations_of_the_full_trie():
    trie = Trie.build(ConfigSpace.full(4).configs, CPU, F64)
    assert all(branch.parents is None for level in trie.levels for branch in level)
    lone = Trie.build((TransferConfig.parse("0101", 4),), CPU, F64)
    assert [(a is None, b is None) for a, b in lone.levels] == [(True, False), (False, True)] * 2
