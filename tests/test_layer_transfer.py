"""A user's own network: stages of any modules, and the same numbers as the paper's network where they are its own."""

import copy
import math
from functools import partial

import pytest
import torch
from test_network import data, small_network
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lasem_core import LasemError, LayerTransfer, resnet18_stages
from lasem_core.em import CountPrior, em_step, expected_loss
from lasem_core.model.layers import activate
from lasem_core.model.network import TaskTensors, Trie
from lasem_core.model.optim import RMSProp
from lasem_core.model.staged import Stage, StagedNetwork, Stages, StageSharing
from lasem_core.model.transfer import Initializer
from lasem_core.spec.configs import ConfigSpace
from lasem_core.spec.parts import ModelSpec, OptimSpec

CPU, F64 = torch.device("cpu"), torch.float64
BASES = ("hps", "tf", "df-cnn")
INIT = Initializer(ModelSpec(), (0,), CPU, F64)


# the paper's network as stages


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
    for network in (paper, mine):
        prior = CountPrior(torch.ones(len(trie), dtype=F64))
        optimizer = RMSProp(network.parameters(), OptimSpec())
        runs.append([em_step(network, trie, prior, optimizer, batch, "mean", 2) for _ in range(5)])
    for one, two in zip(*runs, strict=True):
        close(one.posterior, two.posterior)
        close(one.loss, two.loss)
    for one, two, start in zip(paper.parameters(), mine.parameters(), started, strict=True):
        close(one, two)
        assert not torch.equal(two, start)


# small networks on small tasks


def block(n_in, n_out, norm=None):
    """A factory: convolution, GroupNorm, ReLU."""
    norm = norm or nn.GroupNorm
    return lambda: nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1, bias=False), norm(2, n_out), nn.ReLU())


def pooled(n_in, n_out):
    return lambda: nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def network():
    return [block(3, 4), block(4, 6), pooled(6, 8)]


def loaders(task, n_classes=3, n=30, labels=None):
    generator = torch.Generator().manual_seed(task)
    patterns = torch.randn(n_classes, 3, 6, 6, generator=generator)
    y = torch.arange(n) % n_classes if labels is None else labels
    x = patterns[torch.arange(n) % n_classes] + 0.3 * torch.randn(n, 3, 6, 6, generator=generator)
    images = TensorDataset(x, y)
    return DataLoader(images, 10, shuffle=True), DataLoader(images, 20)


def search(stages=None, n_tasks=2, epochs=2, **options):
    made = LayerTransfer(stages or network(), **({"optim": {"lr": 1e-2}} | options))
    for task in range(n_tasks):
        made.fit(*loaders(task), n_classes=3, epochs=epochs)
    return made


def tensors(made):
    state = made.learner.stored_tensors()
    return {name: [t.clone() for t in group] for name, group in state.items()}


def same(one, two):
    return one.keys() == two.keys() and all(
        torch.equal(a, b) for name in one for a, b in zip(one[name], two[name], strict=True)
    )


@pytest.fixture(scope="module")
def learned():
    return search(n_tasks=3, epochs=20)


def test_tasks_are_learned_and_each_has_a_configuration(learned):
    assert len(learned.configurations) == 3 and all(len(config) == 3 for config in learned.configurations)
    assert [row["epoch"] for row in learned.history] == [*range(1, 21)] * 3
    assert all(row["valid_accuracy"] > 0.6 for row in learned.history[19::20])
    assert learned.history[-1]["valid_accuracy"] == learned.score(2, loaders(2)[1])


def test_frequencies_are_the_share_of_tasks(learned):
    table = learned.frequencies()
    share = [sum(config[n] == "1" for config in learned.configurations) / 3 for n in range(3)]
    assert list(table["stage"]) == [1, 2, 3]
    assert list(table["transferred"]) == pytest.approx(share)
    assert LayerTransfer(network()).frequencies()["transferred"].isna().all()


def test_predictions_are_labels_of_the_tasks_own_network(learned):
    x = loaders(1)[1].dataset.tensors[0]
    task, config = learned.learner.tasks[1], learned.configurations[1]
    for n, (stage, bit) in enumerate(zip(learned.stages.layers, config, strict=True)):
        x = stage(learned.learner.shared[n] if bit == "1" else task.specific[n], x)
    expected = learned.stages.head(3)(task.head[0], x)
    x = loaders(1)[1].dataset.tensors[0]
    torch.testing.assert_close(learned.predict_proba(1, x), expected.softmax(-1))
    assert torch.equal(learned.predict(1, x), expected.argmax(-1))


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


def test_shared_stages_that_the_choice_does_not_use_return_to_their_state():
    made = search(n_tasks=1)
    before = copy.deepcopy(made.learner.shared)
    made.fit(*loaders(1), n_classes=3, epochs=2)
    bits = made.configurations[1]
    for n, bit in enumerate(bits):
        equal = all(torch.equal(made.learner.shared[n][name], t) for name, t in before[n].items())
        assert equal == (bit == "0")
        assert (made.learner.tasks[1].specific[n] is None) == (bit == "1")
    kept = search(n_tasks=1, em={"rollback": False})
    before = copy.deepcopy(kept.learner.shared)
    kept.fit(*loaders(1), n_classes=3, epochs=2)
    assert not any(torch.equal(t, before[n][name]) for n in range(3) for name, t in kept.learner.shared[n].items())


def test_a_seed_gives_the_same_search_again_and_leaves_torchs_numbers_alone():
    torch.manual_seed(3)
    one, drawn = search(), torch.rand(4)
    torch.manual_seed(4)
    torch.rand(9)
    two = search()
    assert same(tensors(one), tensors(two))
    assert repr(one.history) == repr(two.history)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(4))
    assert not same(tensors(one), tensors(search(seed=1)))


@pytest.mark.parametrize("base", BASES)
def test_saved_and_loaded_it_predicts_and_goes_on_as_the_original(tmp_path, base):
    one = search(sharing=base, em={"prior": "history"}, dropout=0.2)
    one.save(tmp_path / "search.pt")
    two = LayerTransfer.load(tmp_path / "search.pt", network())
    x = loaders(0)[1].dataset.tensors[0]
    assert torch.equal(one.predict_proba(0, x), two.predict_proba(0, x))
    assert (one.configurations, repr(one.history)) == (two.configurations, repr(two.history))
    for made in (one, two):
        made.fit(*loaders(2), n_classes=3, epochs=2)
    assert same(tensors(one), tensors(two))


def test_what_does_not_train_is_saved_too(tmp_path):
    class Offset(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("offset", torch.rand(4))
            self.layer, self.frozen = nn.Linear(4, 4), nn.Parameter(torch.rand(4), requires_grad=False)

        def forward(self, x):
            return self.layer(x + self.offset) * self.frozen

    one = LayerTransfer([Offset])
    one.fit([(torch.randn(6, 4), torch.arange(6) % 2)], n_classes=2, epochs=1)
    one.stages.layers[0].module.offset.fill_(7)
    one.save(tmp_path / "search.pt")
    two = LayerTransfer.load(tmp_path / "search.pt", [Offset])
    x = torch.randn(3, 4)
    assert torch.equal(one.predict_proba(0, x), two.predict_proba(0, x))
    assert {name for groups in one.learner.shared for name in groups} == {"layer.weight", "layer.bias"}


def test_an_earlier_task_is_trained_on_in_its_configuration():
    made = search()
    configs, own = made.configurations, tensors(made)["task0"]
    made.fit(*loaders(0), n_classes=3, epochs=2, task=0)
    assert made.configurations == configs
    assert not all(torch.equal(a, b) for a, b in zip(own, tensors(made)["task0"], strict=True))


@pytest.mark.parametrize("em", [{"prune": "refreshed"}, {"prune": "sampled", "prune_samples": 2}])
def test_pruning_works_as_for_the_papers_network(em):
    made = search(em=em | {"prune_eps": 0.2, "prune_every": 3}, n_tasks=1, epochs=12)
    assert made.history[-1]["evaluated"] < 8


def test_tasks_may_differ_in_their_classes():
    made = search(n_tasks=1)
    made.fit(*loaders(1, n_classes=5), n_classes=5, epochs=2)
    x = loaders(0)[1].dataset.tensors[0]
    assert [made.predict_proba(task, x).shape[1] for task in (0, 1)] == [3, 5]


def test_a_factory_may_give_one_module_again_and_again():
    module = pooled(3, 4)()
    weight = module[0].weight.detach().clone()
    made = search([lambda: module], n_tasks=1)
    assert torch.equal(module[0].weight, weight)
    made.fit(*loaders(1), n_classes=3, epochs=1)
    assert made.configurations


class Endless:
    """Does not know how many batches it gives."""

    def __iter__(self):
        return iter(loaders(0)[0])


def test_the_first_epochs_may_judge_no_configuration():
    made = search(em={"start": 1}, n_tasks=1, epochs=2)
    first, second = (row["entropy"] for row in made.history)
    assert first == pytest.approx(math.log(8), abs=1e-5) and second < first - 1e-3
    with pytest.raises(LasemError, match=r"em.start and em.temper need a train loader with a length"):
        made.fit(Endless(), n_classes=3)


def test_held_out_images_may_be_what_configurations_are_judged_by():
    tokens, labels = torch.randint(11, (20, 7), generator=torch.Generator().manual_seed(0)), torch.arange(20) % 2
    train = TensorDataset(tokens, labels)
    made = [LayerTransfer([lambda: nn.Embedding(11, 8), Last], em={"evidence": "held-out"}) for _ in range(2)]
    for one, valid in zip(made, (labels, 1 - labels), strict=True):
        one.fit(train, TensorDataset(tokens, valid), n_classes=2, epochs=2)
    assert made[0].history[0]["entropy"] != made[1].history[0]["entropy"]
    with pytest.raises(LasemError, match=r"em.evidence 'held-out' needs a valid loader"):
        made[0].fit(train, n_classes=2)


def test_groups_tie_stages():
    made = search(em={"groups": "1,2|3"}, n_tasks=1)
    assert len(made.learner.space) == 4 and made.configurations[0][:2] in ("00", "11")


def test_dropout_inside_a_stage_is_off_in_predictions():
    made = search([block(3, 4), lambda: nn.Sequential(nn.Dropout(0.5), nn.Conv2d(4, 4, 1)), pooled(4, 8)])
    x = loaders(0)[1].dataset.tensors[0]
    assert torch.equal(made.predict_proba(0, x), made.predict_proba(0, x))


class Attention(nn.Module):
    """A transformer block; the last one averages its tokens."""

    def __init__(self, is_last=False):
        super().__init__()
        self.block, self.is_last = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True), is_last

    def forward(self, x):
        y = self.block(x)
        return y.mean(1) if self.is_last else y


Last = partial(Attention, is_last=True)


def test_a_small_transformer_over_tokens():
    embed = lambda: nn.Embedding(11, 8)  # noqa: E731
    made = LayerTransfer([embed, Attention, Last], optim={"lr": 3e-3})
    tokens = torch.randint(11, (60, 7), generator=torch.Generator().manual_seed(0))
    task = TensorDataset(tokens, (tokens.sum(1) > 35).long())
    made.fit(task, task, n_classes=2, epochs=15)
    assert made.history[-1]["valid_accuracy"] > 0.8


def test_a_dataset_is_shuffled_into_batches():
    made = LayerTransfer(network(), optim={"batch_size": 7})
    train = loaders(0)[0].dataset
    made.fit(train, n_classes=3, epochs=1)
    assert math.isnan(made.history[0]["valid_accuracy"])
    assert made.learner.chosen


# ResNet-18


def test_resnet18_as_five_stages(tmp_path):
    from torchvision.models import resnet18

    torch.save(resnet18().state_dict(), tmp_path / "weights.pth")
    given = torch.load(tmp_path / "weights.pth", weights_only=True)
    modules = [factory() for factory in resnet18_stages(tmp_path / "weights.pth")]
    assert torch.equal(modules[0][0].weight, given["conv1.weight"])
    assert torch.equal(modules[3][1].conv2.weight, given["layer3.1.conv2.weight"])
    assert torch.equal(modules[4][0].bn1.bias, given["layer4.0.bn1.bias"])
    x = torch.rand(2, 3, 32, 32)
    for module in modules:
        x = module(x)
    assert x.shape == (2, 512)
    assert not torch.equal(resnet18_stages()[0]()[0].weight, given["conv1.weight"])


def test_resnet18_weights_come_from_a_file_only(tmp_path):
    with pytest.raises(LasemError, match=r"no file .*none.pth.* nothing is downloaded"):
        resnet18_stages(tmp_path / "none.pth")
    torch.save({"conv1.weight": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(LasemError, match=r"other.pth does not hold the weights of torchvision's resnet18"):
        resnet18_stages(tmp_path / "other.pth")[0]()


# bad input


class Then(nn.Conv2d):
    """A convolution, then `function`."""

    def __init__(self, function):
        super().__init__(4, 4, 1)
        self.function = function

    def forward(self, x):
        return self.function(super().forward(x))


def stage(function):
    return [block(3, 4), lambda: Then(function), pooled(4, 8)]


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
