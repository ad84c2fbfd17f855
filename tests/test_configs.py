"""Notations, canonical order, groups and static sets of transfer configurations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lasem_core.spec.configs import ConfigSpace, TransferConfig, parse_groups, static_set

configs = st.lists(st.booleans(), min_size=1, max_size=9).map(lambda bits: TransferConfig(tuple(bits)))


@given(configs)
def test_both_notations_and_the_index_lead_back(config):
    depth = config.depth
    assert TransferConfig.parse(str(config), depth) == config
    layers = ",".join(str(layer) for layer, bit in enumerate(config.bits, start=1) if bit)
    assert TransferConfig.parse("{" + layers + "}", depth) == config
    assert TransferConfig.from_index(config.index, depth) == config


def test_canonical_order_has_layer_1_fastest_and_true_first():
    assert [str(c) for c in ConfigSpace.full(4)][:5] == ["1111", "0111", "1011", "0011", "1101"]
    assert str(ConfigSpace.full(4)[15]) == "0000"


@pytest.mark.parametrize(
    ("text", "bits"),
    [("all", "1111"), ("none", "0000"), ("top1", "0001"), ("top3", "0111"), ("bottom2", "1100"),
     ("alternating", "0101"), ("{2, 4}", "0101"), ("{}", "0000"), ("Top2", "0011")],
)  # fmt: skip
def test_names(text, bits):
    assert str(TransferConfig.parse(text, 4)) == bits


@pytest.mark.parametrize("text", ["01", "01010", "top0", "top5", "{5}", "{0}", "", "0121", "bottom", "every"])
def test_mistakes_name_the_text_and_the_depth(text):
    with pytest.raises(ValueError, match=r"of 4 layers; use all, none"):
        TransferConfig.parse(text, 4)


@given(st.permutations(range(1, 7)), st.integers(1, 5))
def test_groups_are_constant_within_each_group(layers, cut):
    groups = (tuple(layers[:cut]), tuple(layers[cut:]))
    space = ConfigSpace.grouped(6, groups)
    assert len(space) == 4
    assert list(space) == sorted(space, key=lambda config: config.index)
    assert all(len({c.bits[layer - 1] for layer in group}) == 1 for c in space for group in groups)


@pytest.mark.parametrize("groups", ["1,2|3", "1,2|2,3,4", "1,2,3,4,5", "0,1,2,3,4"])
def test_groups_must_be_a_partition(groups):
    with pytest.raises(ValueError, match="not a partition of the layers"):
        ConfigSpace.grouped(4, parse_groups(groups))


def test_group_notation():
    assert parse_groups("1,2|3,4") == ((1, 2), (3, 4))
    with pytest.raises(ValueError, match="write it like"):
        parse_groups("1;2")


def test_static_sets_have_the_papers_sizes():
    assert [str(c) for c in static_set(4).values()] == [
        "1111", "0001", "0011", "0111", "1000", "1100", "1110", "0101"
    ]  # fmt: skip
    assert len({c.bits for c in static_set(6).values()}) == 16
