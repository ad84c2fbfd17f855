"""Published parameter counts, initial limits, and the three ways of sharing against plain formulas."""

import math

import pytest
import torch
import torch.nn.functional as F

from lasem_core.common.errors import LasemError
from lasem_core.learners import Environment, TaskContext
from lasem_core.model.transfer import (
    DeconvFactorization,
    HardSharing,
    Initializer,
    TensorFactorization,
    glorot_limit,
    specific_filters,
)
from lasem_core.runs.run import make_learner
from lasem_core.spec.architecture import Architecture
from lasem_core.spec.configs import TransferConfig
from lasem_core.spec.parts import ModelSpec
from lasem_core.spec.run_spec import RunSpec

CPU, F64 = torch.device("cpu"), torch.float64
SHAPES = {"cifar100": (3, 32, 32), "stl10": (3, 96, 96)}


class FakeTask:
    def __init__(self, n_classes):
        self.n_classes = n_classes


def parameters_at_task_1(dataset, method, base, preset):
    spec = RunSpec(dataset=dataset, method=method, base=base, preset=preset)
    learner = make_learner(Environment(spec, SHAPES[dataset], CPU))
    n_classes = spec.stream.classes_per_task
    learner.begin_task(TaskContext(0, 0, FakeTask(n_classes), 1, lambda epoch: 0.1))
    return sum(tensor.numel() for tensor in learner.open.network.parameters())


@pytest.mark.parametrize(
    ("dataset", "method", "base", "preset", "count"),
    [
        ("cifar100", "static", "hps", "paper", 328426),
        ("cifar100", "static", "tf", "paper", 344891),
        ("cifar100", "lasem", "tf", "paper", 410459),
        ("cifar100", "static", "df-cnn", "released", 796714),
        ("cifar100", "lasem", "df-cnn", "released", 862282),
        ("cifar100", "static", "df-cnn", "paper", 851107),
        ("cifar100", "lasem", "df-cnn", "paper", 916675),
        ("stl10", "static", "hps", "released", 551395),
        ("stl10", "static", "df-cnn", "released", 5349019),
        ("stl10", "lasem", "df-cnn", "released", 5636027),
    ],
)
def test_parameter_counts_of_the_released_code(dataset, method, base, preset, count):
    assert parameters_at_task_1(dataset, method, base, preset) == count


def layer_and_init(name="x", cin=6, cout=9, kernel=3):
    model = ModelSpec(channels=(cout,), kernels=(kernel,), pools=(1,))
    return Architecture.build(model, (cin, 8, 8)).layers[0], Initializer(model, (name,), CPU, F64)


def test_truncated_normal():
    layer, init = layer_and_init(cin=64, cout=128)
    weight = specific_filters(layer, init)["weight"]
    assert weight.abs().max() <= 0.1
    assert 0.0435 < weight.std() < 0.0445
    assert torch.all(specific_filters(layer, init)["bias"] == 0.2)


@pytest.mark.parametrize("shape", [(3,), (4, 3), (4, 3, 3, 3)])
def test_both_initialisers_serve_every_shape(shape):
    for kind in ("truncated-normal", "glorot"):
        model = ModelSpec(channels=(2,), kernels=(3,), pools=(1,), weight_init=kind)
        assert Initializer(model, (0,), CPU, F64).weight("w", shape).shape == shape


@pytest.mark.parametrize(
    ("shape", "limit"),
    [
        ((3, 3, 4, 8), math.sqrt(6 / (9 * 12))),
        ((5, 5), math.sqrt(3 / 5)),
        ((7,), math.sqrt(3 / 7)),
        ((1, 2, 2, 16), math.sqrt(6 / (2 * 18))),
        ((1, 1, 1, 24), math.sqrt(6 / 25)),
        ((24, 3, 32), math.sqrt(6 / (24 * 35))),
    ],
)
def test_glorot_limits(shape, limit):
    assert glorot_limit(shape) == pytest.approx(limit)
    values = layer_and_init(str(shape))[1].glorot("x", shape)
    assert 0.5 * limit < values.abs().max() <= limit


def test_hard_sharing_shares_the_bias_too():
    layer, init = layer_and_init()
    shared = HardSharing().init_shared(layer, init)
    weight, bias = HardSharing().filters(shared, {})
    assert weight is shared["weight"] and bias is shared["bias"]


def test_tensor_factorization_is_the_four_mode_product():
    layer, init = layer_and_init()
    way = TensorFactorization(0.1)
    shared, adapter = way.init_shared(layer, init), way.init_adapter(layer, init)
    weight, _ = way.filters(shared, adapter)
    factors = [adapter[name] for name in way.factors]
    expected = torch.einsum("abcd,ap,bq,cr,ds->pqrs", shared["core"], *factors)
    torch.testing.assert_close(weight, expected.permute(3, 2, 0, 1), rtol=0, atol=1e-12)


def test_orthogonality_is_a_norm_not_a_square():
    way = TensorFactorization(0.5)
    doubled = {name: 2 * torch.eye(3, dtype=F64) for name in way.factors}
    mixed = {"factor_h": torch.zeros(3, 3, dtype=F64), "factor_w": torch.eye(3, dtype=F64),
             "factor_in": 2 * torch.eye(4, dtype=F64), "factor_out": torch.eye(3, dtype=F64)}  # fmt: skip
    expected = [0.5 * 4 * math.sqrt(3 * 9), 0.5 * (math.sqrt(3) + math.sqrt(4 * 9))]
    assert way.penalty([doubled, mixed]).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("kernel", [3, 5, 11])
def test_deconvolution_by_hand(kernel):
    layer, init = layer_and_init(kernel=kernel)
    way = DeconvFactorization()
    shared, adapter = way.init_shared(layer, init), way.init_adapter(layer, init)
    assert (layer.kb_channels, layer.deconv_channels) == (5, 10)
    knowledge, deconv = shared["knowledge"][0], adapter["deconv"]
    grown = torch.zeros(10, kernel + 2, kernel + 2, dtype=F64)
    for i in range(knowledge.shape[1]):
        for j in range(knowledge.shape[2]):
            grown[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += torch.einsum("c,cuhw->uhw", knowledge[:, i, j], deconv)
    grown = grown[:, 1:-1, 1:-1] + adapter["deconv_bias"][:, None, None]
    weight, _ = way.filters(shared, adapter)
    assert weight.shape == (9, 6, kernel, kernel)
    torch.testing.assert_close(weight, torch.einsum("ukl,uio->oikl", grown, adapter["mixing"]), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "pool", "out", "padding"), [(32, 3, 11, 0), (11, 3, 4, 0), (128, 3, 43, 0), (43, 3, 15, 1), (15, 2, 8, 0)]
)
def test_pooling_is_tensorflow_same(size, pool, out, padding):
    model = ModelSpec(channels=(2,), kernels=(3,), pools=(pool,))
    layer = Architecture.build(model, (1, size, size)).layers[0]
    assert (layer.out_size, layer.pool_padding) == ((out, out), padding)
    x = torch.randn(1, 1, size, size, dtype=F64)
    extra = out * pool - size
    expected = F.max_pool2d(F.pad(x, (extra // 2, extra - extra // 2) * 2, value=-torch.inf), pool)
    assert torch.equal(F.max_pool2d(x, pool, pool, layer.pool_padding, ceil_mode=True), expected)


def test_even_kernels_are_refused():
    with pytest.raises(Exception, match="4 is even"):
        Architecture.build(ModelSpec(channels=(2,), kernels=(4,), pools=(1,)), (1, 8, 8))


@pytest.mark.parametrize(
    ("field", "kernels", "pools", "words"),
    [
        ("pools", (3, 3), (8, 2), "2 at layer 2, where the map is 1x1; use at most 1"),
        ("kernels", (19, 3), (1, 1), "19 at layer 1, where the map is 8x8; use at most 17"),
    ],
)
def test_geometry_in_which_nothing_of_the_image_is_left_is_refused(field, kernels, pools, words):
    with pytest.raises(LasemError, match=f"model.{field}: {words}"):
        Architecture.build(ModelSpec(channels=(2, 2), kernels=kernels, pools=pools), (1, 8, 8))


def test_config_none_uses_no_shared_tensor():
    assert TransferConfig.parse("none", 4).bits == (False,) * 4
