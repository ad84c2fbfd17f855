"""What a user gives to `LayerTransfer`: what works, what is refused in one line, and before anything is trained."""

import math

import numpy as np
import pytest
import torch
from small_stages import block, loaders, network, pooled, same, search, stage, tensors
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lasem_core import LasemError, LayerTransfer, RunSpec, RunStore, load_learner, train
from lasem_core.spec.parts import EMSpec, OptimSpec


@pytest.fixture(scope="module")
def one_task():
    return search(n_tasks=1, epochs=1)


def refused(problem, call):
    with pytest.raises(LasemError, match=problem) as error:
        call()
    assert "\n" not in str(error.value)


def fit(made, images=None, valid=None, **options):
    return made.fit(images or loaders(0)[0], valid, **({"n_classes": 3, "epochs": 1} | options))


# options


def wants_no_sizes():
    return nn.Linear(3, 3)


OPTIONS = {
    "stages is None; give a list of factories": lambda: LayerTransfer(None),
    "stages is a function; give a list of factories": lambda: LayerTransfer(pooled(3, 4)),
    "stage 2: the factory raises TypeError: .*; a stage's factory is called without arguments": lambda: LayerTransfer(
        [block(3, 4), nn.Linear]
    ),
    "stage 1: the factory raises ZeroDivisionError: .*": lambda: LayerTransfer([lambda: 1 / 0]),
    "head is None, not a factory; give a function of the numbers of features and": lambda: LayerTransfer(
        network(), head=None
    ),
    "head: the factory raises TypeError: wants_no_sizes.* it is called with the numbers of": lambda: fit(
        LayerTransfer(network(), head=wants_no_sizes)
    ),
    r"em is a str \('refreshed'\); give a dict such as \{\"prune\"": lambda: LayerTransfer(network(), em="refreshed"),
    r"optim is a float \(0.1\); give a dict such as \{\"lr\"": lambda: LayerTransfer(network(), optim=0.1),
    "^dropout = 2: input should be less than 1": lambda: LayerTransfer(network(), dropout=2),
    r"13 stages or groups of stages have 2\^13 .* em={'groups': .*, or give fewer": lambda: LayerTransfer(
        [block(3, 4)] * 13
    ),
}


@pytest.mark.parametrize("problem", OPTIONS)
def test_options_that_cannot_be_used_are_one_line(problem):
    refused(problem, OPTIONS[problem])


def test_switches_may_be_specifications():
    made = LayerTransfer(network(), em=EMSpec(prune="refreshed"), optim=OptimSpec(lr=0.1))
    assert (made.spec.em.prune, made.spec.optim.lr) == ("refreshed", 0.1)


def test_a_message_of_a_factorys_own_stays_as_it_is():
    def weights():
        raise LasemError("there is no file weights.pth")

    refused("^there is no file weights.pth$", lambda: LayerTransfer([weights]))


@pytest.mark.parametrize("n_classes", [1, 10**12, True, 2.0])
def test_a_number_of_classes_that_makes_no_sense_is_refused_at_once(one_task, n_classes):
    refused(f"n_classes {n_classes}: use a whole number from 2 to 100,000", lambda: fit(one_task, n_classes=n_classes))


# stages that depend on the batch


def over_the_largest(x):
    return x / x.abs().max()


@pytest.mark.parametrize("function", [lambda x: x - x.mean(0), over_the_largest, lambda x: x - x.mean()])
@pytest.mark.parametrize("position", ["stage 2", "head"])
@pytest.mark.parametrize("size", [1, 10])
def test_one_image_is_enough_to_notice_that_a_stage_depends_on_the_batch(function, position, size):
    class Head(nn.Linear):
        def forward(self, x):
            return function(super().forward(x))

    images = DataLoader(loaders(0)[0].dataset, size)
    made = LayerTransfer(stage(function)) if position == "stage 2" else LayerTransfer(network(), Head)
    refused(f"{position}: in training an image's output depends on the rest", lambda: fit(made, images))


@pytest.mark.parametrize("trial", range(12))
def test_the_first_stage_may_not_divide_by_the_largest_number_of_the_batch(trial):
    class First(nn.Conv2d):
        def forward(self, x):
            return super().forward(over_the_largest(x))

    made = LayerTransfer([lambda: First(3, 4, 1), pooled(4, 8)])
    refused("stage 1: in training an image's output depends on the rest", lambda: fit(made, loaders(trial)[0]))


def test_numbers_that_stand_for_words_are_tried_with_words_there_are():
    class Words(nn.Embedding):
        def forward(self, x):
            return super().forward(x.long()).flatten(1)

    tokens, labels = torch.randint(5, (10, 4)), torch.arange(10) % 2
    for given in (tokens, tokens.float()):
        assert fit(LayerTransfer([lambda: Words(5, 3)]), [(given, labels)], n_classes=2).configurations


@pytest.mark.parametrize("position", [1, 2])
def test_a_stage_that_changes_its_input_in_place_is_named(position):
    def first():
        return nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 3, 1))

    stages = [block(3, 3, lambda groups, n: nn.GroupNorm(1, n)), block(3, 3, lambda groups, n: nn.GroupNorm(1, n))]
    images, labels = torch.randn(6, 3, 6, 6), torch.arange(6) % 3
    before = images.clone()
    made = LayerTransfer([*stages[: position - 1], first, *stages[position:]])
    refused(f"stage {position} changes its input in place", lambda: fit(made, [(images, labels)]))
    assert torch.equal(images, before)


def test_inside_a_stage_a_module_may_work_in_place():
    made = LayerTransfer([lambda: nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True)), pooled(4, 8)])
    assert fit(made).configurations


# images and labels


TRAIN = loaders(0)[0].dataset, 10


class Unsized(IterableDataset):
    """Thirty images one by one; does not know how many."""

    def __iter__(self):
        return iter(list(loaders(0)[0].dataset))


class Once(IterableDataset):
    """Is used up by its first epoch."""

    def __init__(self):
        self.left = list(loaders(0)[0].dataset)

    def __iter__(self):
        return self

    def __next__(self):
        if not self.left:
            raise StopIteration
        return self.left.pop()


class NoLength(torch.utils.data.Dataset):
    def __getitem__(self, i):
        return loaders(0)[0].dataset[i]


def used_up(loader):
    yield from loader


def images(n=10, size=6, channels=3, value=None):
    x = torch.rand(n, channels, size, size) if value is None else torch.full((n, channels, size, size), value)
    return [(x, torch.arange(n) % 3)]


ONCE = "is iterated once only .* give a DataLoader or a list of batches"
DATA = {
    f"train {ONCE}": lambda: (iter(loaders(0)[0]), None),
    f"train {ONCE} ": lambda: (used_up(loaders(0)[0]), None),
    f"train {ONCE}  ": lambda: (DataLoader(Once(), 10), None),
    f"valid {ONCE}": lambda: (loaders(0)[0], zip(torch.rand(2, 3), torch.rand(2, 3), strict=True)),
    "train is None; give a DataLoader, a Dataset or a list of batches": lambda: (None, None),
    "valid is an int; give a DataLoader, a Dataset or a list of batches": lambda: (loaders(0)[0], 3),
    "the train Dataset is empty": lambda: (TensorDataset(torch.rand(0, 3, 6, 6), torch.zeros(0).long()), None),
    "the valid Dataset is empty": lambda: (images(), TensorDataset(torch.rand(0, 3, 6, 6), torch.zeros(0).long())),
    "the train Dataset has no length": lambda: (NoLength(), None),
    r"the valid loader's images: stage 1 cannot take its input \(4, 5, 6, 6\)": lambda: (images(), images(channels=5)),
    "the train loader's images hold NaN or infinite": lambda: (images(value=torch.inf), None),
    "the train loader's images hold NaN or infinite ": lambda: (images() + images(value=torch.nan), None),
    "the valid loader's images hold NaN or infinite": lambda: (images(), images(value=torch.nan)),
}


@pytest.mark.parametrize("problem", DATA)
def test_images_that_cannot_be_used_are_one_line_and_leave_the_search_as_it_was(one_task, problem):
    before, rows = tensors(one_task), len(one_task.history)
    given = DATA[problem]()
    refused(problem.strip(), lambda: one_task.fit(*given, n_classes=3, epochs=1))
    assert same(tensors(one_task), before) and len(one_task.history) == rows


def test_images_of_valid_are_tried_before_the_first_epoch(one_task, monkeypatch):
    monkeypatch.setattr(one_task, "_epoch", lambda *_: pytest.fail("an epoch was trained"))
    refused("the valid loader's images: stage 1 cannot", lambda: fit(one_task, valid=images(channels=5)))


def test_trying_valid_leaves_the_numbers_as_they_are():
    made = [fit(LayerTransfer(network(), seed=3), valid=valid) for valid in (None, DataLoader(*TRAIN, shuffle=True))]
    assert same(*map(tensors, made))


def test_an_iterable_dataset_is_made_into_batches():
    made = LayerTransfer(network())
    fit(made, Unsized(), Unsized(), epochs=2)
    assert made.score(0, Unsized()) == made.history[-1]["valid_accuracy"]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.bool])
def test_pixels_are_made_into_numbers_of_the_parameters(dtype):
    pixels, labels = torch.randint(256, (12, 3, 6, 6)).to(dtype), torch.arange(12) % 3
    one = fit(LayerTransfer(network()), [(pixels, labels)], [(pixels, labels)])
    two = fit(LayerTransfer(network()), [(pixels.float(), labels)])
    assert same(tensors(one), tensors(two))
    assert torch.equal(one.predict_proba(0, pixels), two.predict_proba(0, pixels.float()))


QUESTIONS = {
    "the given loader gives no batches": lambda made: made.score(0, []),
    r"a batch of the given loader \(10, 5, 6, 6\) does not go": lambda made: made.score(0, images(channels=5)),
    "given is None; give a DataLoader": lambda made: made.score(0, None),
    "x is a str; give a tensor of images": lambda made: made.predict(0, "image.png"),
    "x is one number; give a tensor of images": lambda made: made.predict(0, 3.0),
    r"unknown task \[0\]; tasks learned: 0": lambda made: made.predict([0], torch.zeros(1, 3, 6, 6)),
}


@pytest.mark.parametrize("problem", QUESTIONS)
def test_questions_that_have_no_answer_are_one_line(one_task, problem):
    refused(problem, lambda: QUESTIONS[problem](one_task))


def test_a_task_may_be_named_by_numpys_integers(tmp_path):
    made = fit(fit(LayerTransfer(network())), task=np.int64(0))
    made.save(tmp_path / "search")
    loaded = LayerTransfer.load(tmp_path / "search", network())
    assert [row["task"] for row in loaded.history] == [row["task"] for row in made.history]


@pytest.mark.parametrize("valid", [None, loaders(0)[1]])
def test_the_bar_shows_an_accuracy_where_there_is_one(valid, monkeypatch):
    shown = []

    class Bar(list):
        def __init__(self, epochs, *_, **__):
            super().__init__(epochs)

        set_postfix_str = shown.append

    monkeypatch.setattr("lasem_core.runs.layer_transfer.tqdm", Bar)
    made = fit(LayerTransfer(network()), valid=valid)
    assert shown[0].startswith(made.configurations[0])
    assert ("validation" in shown[0]) == (valid is not None) and "nan" not in shown[0]


# a search that goes on


def test_a_task_without_a_clear_configuration_is_searched_on_at_its_next_visit(tmp_path):
    made = LayerTransfer(network(), em={"revisit": "search"})
    fit(made)
    assert set(made.learner.undecided) == {0}
    made.save(tmp_path / "search.pt")
    again = LayerTransfer.load(tmp_path / "search.pt", network())
    for one in (made, again):
        fit(one, task=0)
    assert made.history[-1]["entropy"] > 0 and same(tensors(made), tensors(again))
    fixed = LayerTransfer(network())
    fit(fit(fixed), task=0)
    assert fixed.history[-1]["entropy"] == 0


def test_a_prior_that_counts_finished_tasks_has_none_to_search_on():
    refused("em.revisit 'search' does not fit em.prior 'history'",
            lambda: LayerTransfer(network(), em={"revisit": "search", "prior": "history"}))  # fmt: skip


# saved searches


def test_every_changed_bit_of_a_saved_search_is_noticed(tmp_path, one_task):
    path = tmp_path / "search.pt"
    one_task.save(path)
    data = path.read_bytes()
    for n in range(60):
        place = n * len(data) // 60
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        refused("search.pt is not a saved LayerTransfer, or it is damaged", lambda: LayerTransfer.load(path, network()))
    path.write_bytes(data[32:])  # as they were before there was a checksum
    refused("search.pt is not .* or from before there was a checksum", lambda: LayerTransfer.load(path, network()))


def deep_head(n_features, n_classes):
    return nn.Sequential(nn.Linear(n_features, 4), nn.ReLU(), nn.Linear(4, n_classes))


def test_another_head_than_the_saved_one_is_refused(tmp_path, one_task):
    path = tmp_path / "search.pt"
    one_task.save(path)
    for head in (deep_head, lambda n_features, n_classes: nn.Linear(n_features, n_classes, bias=False)):
        refused(r"head: its tensors are .*those of task 0 in .*search.pt \{'weight': \[3, 8\], 'bias': \[3\]\}; give",
                lambda head=head: LayerTransfer.load(path, network(), head))  # fmt: skip
    assert LayerTransfer.load(path, network(), nn.Linear).configurations == one_task.configurations


def test_a_loss_that_is_not_finite_without_such_images_is_the_learning_rates(one_task):
    refused("the loss is .*; lower optim", lambda: fit(one_task, images(value=1e38)))
    assert math.isfinite(one_task.history[-1]["loss"])


# the learner of a record


@pytest.mark.parametrize("method", ["lasem", "apd"])
def test_a_loaded_learner_names_the_tasks_that_it_knows(tmp_path, method):
    base = "hps" if method == "lasem" else "none"
    spec = RunSpec(method=method, base=base, stream={"n_tasks": 2}, schedule={"epochs": 0})
    learner = load_learner(train(spec, RunStore(tmp_path)))
    x = torch.rand(2, *learner.env.image_shape)
    assert learner.predict(1, x).shape[0] == 2
    refused("unknown task 9; tasks of this run: 0, 1", lambda: learner.predict(task=9, images=x))
