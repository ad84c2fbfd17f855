"""A user's own network: stages of any modules are searched, saved and trained on."""

import copy
import math
from functools import partial

import pytest
import torch
from small_stages import block, loaders, network, pooled, same, search, tensors
from torch import nn
from torch.utils.data import TensorDataset

from lasem_core import LasemError, LayerTransfer, resnet18_stages

BASES = ("hps", "tf", "df-cnn")


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
