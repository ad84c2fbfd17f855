"""Stages, data, calls and files that cannot be searched are named in one line, and the search stays as it was."""

import pytest
import torch
from small_stages import block, loaders, network, pooled, same, search, stage, tensors
from torch import nn

from lasem_core import LasemError, LayerTransfer


class Running(nn.Conv2d):
    """Remembers the mean of what it has seen."""

    def __init__(self):
        super().__init__(4, 4, 1)
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        self.mean += x.mean()
        return super().forward(x)


BAD_STAGES = {
    "stages is empty": [],
    "stage 2 is a Conv2d, not a factory; give a function: lambda: Conv2d": [block(3, 4), nn.Conv2d(4, 4, 3)],
    "stage 1 is a int, not a factory": [3],
    "stage 1: the factory makes a int, not a torch.nn.Module": [lambda: 3],
    r"stage 2 has a BatchNorm2d \(1\), whose output depends on the rest .* use torch.nn.GroupNorm": [
        block(3, 4),
        block(4, 6, lambda groups, n: nn.BatchNorm2d(n)),
    ],
    "stage 2 has nothing to train": [block(3, 4), nn.ReLU],
    "stage 1 has lazy parameters": [lambda: nn.LazyLinear(4)],
    "stage 2: in training an image's output depends on the rest": stage(lambda x: x - x.mean(0)),
    "stage 3: in training an image's output depends on the rest": [block(3, 4), block(4, 4), Running],
    r"stage 2 makes \(8, .* of \(4, 4, 6, 6\); the first axis, the images, must stay": stage(
        lambda x: torch.cat([x, x])
    ),
    r"stage 2 makes \(4,\) of": stage(lambda x: x.mean((1, 2, 3))),
    "stage 2 makes list of": stage(list),
    r"stage 2 cannot take its input \(4, 4, 6, 6\): .*5 channels": [block(3, 4), block(5, 6)],
    "2.13 configurations": [block(3, 4)] * 13,
}


@pytest.mark.parametrize("problem", BAD_STAGES)
def test_stages_that_cannot_be_searched_are_named_in_one_line(problem):
    with pytest.raises(LasemError, match=problem) as error:
        LayerTransfer(BAD_STAGES[problem]).fit(*loaders(0), n_classes=3, epochs=1)
    assert "\n" not in str(error.value)


FLOATS, HIGH, LOW = torch.rand(30), torch.full((30,), 3), torch.full((30,), -1)
BAD_DATA = {
    r"the train loader's labels are torch.float32 \(10,\) for 10 images; give whole numbers": loaders(0, labels=FLOATS),
    "the train loader's labels go from 3 to 3; with n_classes=3 use 0 to 2": loaders(0, labels=HIGH),
    "the train loader's labels go from -1 to -1": loaders(0, labels=LOW),
    "the train loader gives no batches": ([], None),
    "the valid loader gives no batches": (loaders(0)[0], []),
    "the train loader gives a Tensor; it should give pairs": ([torch.rand(3, 3, 6, 6)], None),
    r"the train loader's labels are torch.int64 \(2,\) for 3 images": (
        [(torch.rand(3, 3), torch.ones(2).long())],
        None,
    ),
    r"stage 1 cannot take its input \(4, 5, 6, 6\)": ([(torch.rand(4, 5, 6, 6), torch.zeros(4).long())], None),
    "the loss is nan in epoch 1": ([(torch.full((4, 3, 6, 6), 1e38), torch.zeros(4).long())], None),
}


@pytest.mark.parametrize("problem", BAD_DATA)
def test_data_that_cannot_be_learned_are_named_and_leave_the_search_as_it_was(problem):
    made = search(n_tasks=1, epochs=1)
    before, rows = tensors(made), len(made.history)
    with pytest.raises(LasemError, match=problem) as error:
        made.fit(*BAD_DATA[problem], n_classes=3, epochs=1)
    assert "\n" not in str(error.value)
    assert same(tensors(made), before) and len(made.history) == rows
    made.fit(*loaders(1), n_classes=3, epochs=1)
    assert len(made.configurations) == 2


def test_a_fit_that_breaks_off_in_an_epoch_leaves_the_search_as_it_was():
    def breaking():
        yield from [*loaders(1)[0]][:2]
        raise KeyboardInterrupt

    class Loader:
        n = 0

        def __iter__(self):
            self.n += 1
            return iter(loaders(1)[0]) if self.n < 3 else breaking()

    made = search(n_tasks=1, epochs=1)
    before = tensors(made)
    with pytest.raises(KeyboardInterrupt):
        made.fit(Loader(), n_classes=3, epochs=3)
    assert same(tensors(made), before) and len(made.configurations) == 1
    made.fit(*loaders(1), n_classes=3, epochs=2)
    assert same(tensors(made), tensors(search(n_tasks=1, epochs=1).fit(*loaders(1), n_classes=3, epochs=2)))


CALLS = {
    "unknown task 7; tasks learned: 0": lambda made: made.predict(7, torch.rand(1, 3, 6, 6)),
    "unknown task 4; tasks learned: 0": lambda made: made.fit(*loaders(0), n_classes=3, task=4),
    r"x \(1, 2, 6, 6\) does not go through the stages of task 0": lambda made: made.predict(0, torch.rand(1, 2, 6, 6)),
    "n_classes 2: task 0 has 3": lambda made: made.fit(*loaders(0), n_classes=2, task=0),
    "n_classes 0: use a whole number from 2 to 100,000": lambda made: made.fit(*loaders(0), n_classes=0),
    "epochs 1.5: use a whole number from 1": lambda made: made.fit(*loaders(0), n_classes=3, epochs=1.5),
    "precision 'bf16': use fp32 or fp64": lambda made: LayerTransfer(network(), precision="bf16"),
    "sharing 'abc': use hps, tf, df-cnn": lambda made: LayerTransfer(network(), sharing="abc"),
    "unknown setting 'em.prunes'": lambda made: LayerTransfer(network(), em={"prunes": "off"}),
    "not a partition": lambda made: LayerTransfer(network(), em={"groups": "1,2"}),
    "optim.lr = -1": lambda made: LayerTransfer(network(), optim={"lr": -1}),
    "stage 1: sharing 'df-cnn' cannot make the filters of Conv2d": lambda made: LayerTransfer(
        [lambda: nn.Conv2d(3, 4, 2)], sharing="df-cnn"
    ),
    "head is a Linear, not a factory": lambda made: LayerTransfer(network(), head=nn.Linear(8, 3)).fit(
        *loaders(0), n_classes=3
    ),
    r"head makes \(4, 8\) of 4 images, not \(4, 3\)": lambda made: LayerTransfer(
        network(), head=lambda n_features, n_classes: nn.Identity()
    ).fit(*loaders(0), n_classes=3),
    "there is no file nowhere.pt": lambda made: LayerTransfer.load("nowhere.pt", network()),
}


@pytest.fixture(scope="module")
def one_task():
    return search(n_tasks=1, epochs=1)


@pytest.mark.parametrize("problem", CALLS)
def test_wrong_calls_are_one_line(one_task, problem):
    with pytest.raises(LasemError, match=problem) as error:
        CALLS[problem](one_task)
    assert "\n" not in str(error.value)


def test_a_new_search_knows_no_task():
    with pytest.raises(LasemError, match="unknown task 0; tasks learned: none yet, call fit"):
        LayerTransfer(network()).predict(0, torch.rand(1, 3, 6, 6))


def test_images_of_another_size_need_a_pooling_end():
    made = LayerTransfer([block(3, 4)])
    made.fit([(torch.rand(4, 3, 6, 6), torch.zeros(4).long())], n_classes=2, epochs=1)
    with pytest.raises(LasemError, match="give 196 features, those before gave 144"):
        made.fit([(torch.rand(4, 3, 7, 7), torch.zeros(4).long())], n_classes=2, epochs=1)


def test_a_file_of_other_stages_or_of_nothing_is_refused(tmp_path, one_task):
    path = tmp_path / "search.pt"
    one_task.save(path)
    with pytest.raises(LasemError, match="has 3 stages, given are 2; give the same"):
        LayerTransfer.load(path, network()[:2])
    with pytest.raises(LasemError, match=r"stage 2: 0.weight is \[10, 4, 3, 3\] here, \[6, 4, 3, 3\] where"):
        LayerTransfer.load(path, [block(3, 4), block(4, 10), pooled(10, 8)])
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(LasemError, match="is not a saved LayerTransfer, or it is damaged"):
        LayerTransfer.load(path, network())
