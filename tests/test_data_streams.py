"""Streams of the data sets that need no files: counts, determinism, orders, what the seed decides."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lasem_core.common.errors import LasemError
from lasem_core.data import fingerprint, load_stream
from lasem_core.data.splits import draw_train_valid, split_class, standardise
from lasem_core.data.stream import Split
from lasem_core.spec.run_spec import RunSpec

EMBEDDED = ("planted", "digits")


def spec(dataset, seed=0, **stream):
    return RunSpec(dataset=dataset, profile="quick", seed=seed, stream=stream)


def sizes(task):
    return [len(task.train), len(task.valid), len(task.test)]


@pytest.mark.parametrize("dataset", EMBEDDED)
def test_the_same_spec_gives_the_same_stream_and_another_seed_another(dataset):
    again = load_stream(spec(dataset)).content_hash()
    assert load_stream(spec(dataset)).content_hash() == again
    assert load_stream(spec(dataset, 1)).content_hash() != again


@pytest.mark.parametrize("dataset", EMBEDDED)
def test_shared_images_do_not_depend_on_the_seed(dataset):
    first, second = (load_stream(spec(dataset, seed, images="shared")).content_hash() for seed in (0, 1))
    assert first == second


@pytest.mark.parametrize("dataset", EMBEDDED)
def test_embedded_data_have_a_constant_fingerprint(dataset):
    assert fingerprint(spec(dataset)) == fingerprint(spec(dataset, 7))


def test_planted_counts():
    stream = load_stream(spec("planted"))
    assert [sizes(task) for task in stream.tasks] == [[80, 40, 200]] * 5
    assert stream.image_shape == (3, 32, 32)
    assert stream.order == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("relatedness", "same_glyphs", "same_appearance"),
    [("low", False, True), ("high", True, False), ("both", True, True), ("none", False, False)],
)
def test_planted_relatedness_says_what_tasks_share(relatedness, same_glyphs, same_appearance):
    first, second = load_stream(spec("planted", n_tasks=2, relatedness=relatedness)).tasks
    assert (first.classes == second.classes) == same_glyphs
    assert (first.name.split(", ")[1] == second.name.split(", ")[1]) == same_appearance
    assert not torch.equal(first.train.images, second.train.images)


def test_digits_has_plain_and_turned_tasks():
    stream = load_stream(spec("digits"))
    assert [task.classes[0] for task in stream.tasks] == ["0", "5", "0", "5"]
    assert "turned" in stream.tasks[2].name and "turned" not in stream.tasks[1].name
    assert stream.image_shape == (1, 8, 8)


def test_too_many_tasks_name_the_largest_number():
    with pytest.raises(LasemError, match="use at most 4"):
        load_stream(spec("digits", n_tasks=5))


def test_orders_fixed_shuffled_and_listed_with_revisits():
    assert load_stream(spec("planted", order=(0, 1, 0), n_tasks=2)).order == (0, 1, 0)
    shuffled = [load_stream(spec("planted", s, order="shuffled")).order for s in (0, 0, 1, 2, 3)]
    assert shuffled[0] == shuffled[1]
    assert len(set(shuffled)) > 2
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in shuffled)


@given(
    n=st.integers(100, 600),
    fraction=st.floats(0.01, 0.2),
    valid=st.floats(0.05, 0.6),
    seeds=st.integers(1, 8),
)
@settings(max_examples=50, deadline=None)
def test_trials_are_disjoint_while_images_suffice(n, fraction, valid, seeds):
    drawn = [
        draw_train_valid(spec("cifar100", seed, fraction=fraction, valid_fraction=valid), n, 500, "here")
        for seed in range(seeds)
    ]
    size = len(drawn[0][0]) + len(drawn[0][1])
    whole_rounds = min(seeds, n // size)
    taken = torch.cat([torch.cat(parts) for parts in drawn[:whole_rounds]])
    assert len(taken.unique()) == len(taken) == size * whole_rounds
    assert all(len(torch.cat(parts).unique()) == size for parts in drawn)
    assert all(part.min() >= 0 and part.max() < n for parts in drawn for part in parts)


@given(n=st.integers(5, 200), seed=st.integers(0, 5), fraction=st.floats(0.1, 1))
@settings(max_examples=50, deadline=None)
def test_a_class_is_split_without_overlap(n, seed, fraction):
    parts = split_class(spec("folder", seed, fraction=fraction), n, "here")
    together = torch.cat(parts)
    assert len(together.unique()) == len(together) <= n
    assert all(len(part) >= 1 for part in parts)
    assert len(parts[2]) == max(1, int(0.3 * n + 1e-9))


def test_six_one_three():
    assert [len(part) for part in split_class(spec("folder"), 55, "here")] == [33, 5, 16]


def test_impossible_ratios_are_refused():
    with pytest.raises(LasemError, match="must be below 1"):
        split_class(spec("folder", valid_fraction=0.5, test_fraction=0.5), 50, "here")


def test_asking_for_more_images_than_there_are():
    with pytest.raises(LasemError, match=r"use at most 0\.2"):
        draw_train_valid(spec("cifar100", fraction=0.5), 100, 500, "here")


def test_standardisation_uses_the_statistics_it_says():
    train, valid, test = (torch.randn(20, 3, 4, 4) * s + m for s, m in ((1, 0), (2, 1), (3, 5)))
    ours = standardise(train, valid, test, "train")
    assert ours[0].mean((0, 2, 3)).abs().max() < 1e-5
    assert ours[2].mean() > 3
    own = standardise(train, valid, test, "split")
    assert all(part.std((0, 2, 3), correction=0).sub(1).abs().max() < 1e-5 for part in own)
    assert standardise(train, valid, test, "none")[1] is valid


def test_a_constant_channel_does_not_divide_by_zero():
    flat = torch.full((4, 3, 2, 2), 0.5)
    assert standardise(flat, flat, flat, "train")[0].abs().max() == 0


def test_a_pool_gives_the_same_batch_as_a_copy():
    pool, rows = torch.randn(10, 3, 4, 4), torch.tensor([7, 2, 5])
    index, labels = torch.tensor([2, 0]), torch.tensor([0, 1, 2])
    from_pool = Split(pool, labels, rows=rows).batch(index)[0]
    assert torch.equal(from_pool, Split(pool[rows], labels).batch(index)[0])
    assert from_pool.is_contiguous(memory_format=torch.channels_last)


def test_moving_a_stream_keeps_its_content_and_shares_its_pools():
    stream = load_stream(spec("digits"))
    moved = stream.to(torch.device("cpu"))
    assert moved.content_hash() == stream.content_hash()
    assert stream.to(torch.device("meta")).tasks[0].train.images.device.type == "meta"
