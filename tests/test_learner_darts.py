"""DARTS: the mixture at its corners is a static network; its gradients are those of the definition."""

import pytest
import torch
from small_stream import environment, run, spec_of, stream

from lasem_core import RunSpec, train
from lasem_core.common import keyed_random
from lasem_core.data.stream import Batch
from lasem_core.learners.darts import mixed_logits
from lasem_core.learners.descent import Adam, Sgd
from lasem_core.runs.run import make_learner
from lasem_core.spec.configs import ConfigSpace
from lasem_core.training import context_of

BASES = ("hps", "tf", "df-cnn")
F64 = {"precision": "fp64"}


def opened(base="hps", epochs=3, **options):
    """A DARTS learner in its first task, with that task's first mini-batch, without dropout."""
    spec = spec_of("darts", base, epochs, **options, **F64)
    spec = spec.model_copy(update={"model": spec.model.model_copy(update={"dropout": 0.0})})
    env = environment(spec)
    learner = make_learner(env)
    tasks = stream(n_tasks=2)
    learner.begin_task(context_of(env, tasks, 0))
    images, labels = tasks.tasks[0].train.batch(torch.arange(8))
    return learner, Batch(images.double(), labels, 0.01, (0, 0, 0))


@pytest.mark.parametrize("base", BASES)
def test_one_hot_mixtures_are_the_static_networks(base):
    learner, batch = opened(base)
    for config in ConfigSpace.full(3):
        mixture = torch.tensor([[not bit, bit] for bit in config.bits], dtype=torch.float64)
        mixed = mixed_logits(learner.open.network, batch.images, mixture, lambda x: x)
        trie = learner._trie((config,))
        static = learner.open.network.logits(learner.open.network.features(batch.images, trie))[0]
        torch.testing.assert_close(mixed, static, rtol=1e-12, atol=1e-12)


def test_ties_are_task_specific_and_alphas_start_at_zero():
    learner, _ = opened()
    assert str(learner.open.in_use) == "000"
    assert torch.equal(learner.open.mixture().detach(), torch.full((3, 2), 0.5, dtype=torch.float64))
    assert learner.end_epoch().config == "000"


def test_first_order_is_the_gradient_at_today_s_weights():
    learner, batch = opened(darts={"alpha_data": "train"})
    step = 1e-6
    with torch.no_grad():
        losses = []
        for sign in (step, -step):
            learner.open.alphas[1, 1] += sign
            losses.append(learner.open.loss(batch, learner.open.mixture(), "alphas").item())
            learner.open.alphas[1, 1] -= sign
    gradient = learner.open._alpha_gradient(batch)
    assert gradient[1, 1].item() == pytest.approx((losses[0] - losses[1]) / (2 * step), rel=1e-5)


def test_the_halves_are_disjoint_and_complete():
    learner, _ = opened()
    weights, held_out = learner.open.halves()
    assert sorted(torch.cat([weights, held_out]).tolist()) == list(range(20))
    assert torch.equal(learner.train_index(20), weights)


def test_the_cosine_starts_at_its_rate_and_ends_near_zero():
    learner, _ = opened(epochs=4)
    assert learner.open.weight_lr(0, 9.0) == learner.spec.darts.weight_lr
    assert learner.open.weight_lr(4, 9.0) == pytest.approx(
        0, abs=1e-12
    )  # ten images, batches of eight: one step an epoch


def test_the_history_has_the_rate_of_the_weights():
    """Not the run's learning rate, which nothing here follows."""
    two = {"stream": {"n_tasks": 2}, "schedule": {"epochs": 2}}
    rates = train(RunSpec(dataset="planted", method="darts", base="hps", **two)).history["lr"]
    assert rates.tolist() == pytest.approx([0.025, 0.025, 0.0125] * 2)  # before training, then as each epoch begins
    released = RunSpec(dataset="planted", method="darts", base="hps", preset="released", **two)
    assert train(released).history["lr"][0] == released.optim.lr


def test_mixture_weights_are_reported_like_a_posterior():
    learner, batch = opened()
    learner.train_step(batch)
    report = learner.end_epoch()
    masses = report.weights[0][1]
    assert len(masses) == 8
    assert sum(masses.values()) == pytest.approx(1)
    assert report.max_weight == max(masses.values())
    assert len(report.transfer) == 3


def test_groups_share_one_choice():
    learner, _ = run(spec_of("darts", "hps", em={"groups": "1,2|3"}), stream())
    assert all(config[0] == config[1] for config in learner.configs)


def test_the_held_out_half_is_shuffled_once_a_pass(monkeypatch):
    learner, batch = opened(epochs=9)  # ten held-out images: a pass is one mini-batch of eight, or two of five
    small, shuffled, permute = Batch(batch.images[:5], batch.labels[:5], 0.01, (0, 0, 0)), [], keyed_random.permutation
    monkeypatch.setattr(keyed_random, "permutation", lambda key, n, *at: (shuffled.append(n), permute(key, n, *at))[1])
    seen = []
    for learner.open.steps in range(4):
        seen.append(learner.open._held_out_batch(small).images)
    assert shuffled == [20, 10, 20, 10]  # the halves, then the order, in each of two passes
    split = learner.open.context.task.train
    everything = split.images[learner.open.halves()[1]].flatten(1).sum(1).sort()[0]
    for one, two in (seen[:2], seen[2:]):
        torch.testing.assert_close(torch.cat([one, two]).flatten(1).sum(1).sort()[0], everything)
    assert not torch.equal(seen[0], seen[2])


@pytest.mark.parametrize("name", ["sgd", "clipped sgd", "adam"])
def test_optimizers_are_pytorch_s(name):
    clip = 5.0 if name == "clipped sgd" else 0.0
    start = torch.randn(2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ours, theirs = ([row.clone().requires_grad_() for row in start] for _ in range(2))
    if name == "adam":
        ours, theirs, mine = ours[:1], theirs[:1], Adam(ours[0], (0.5, 0.999), 1e-3)
        reference = torch.optim.Adam(theirs, 0.1, betas=(0.5, 0.999), weight_decay=1e-3)
    else:
        mine = Sgd(ours, 0.9, 3e-4, clip)
        reference = torch.optim.SGD(theirs, 0.1, momentum=0.9, weight_decay=3e-4)
    norms = []
    for _ in range(5):
        mine.step(torch.autograd.grad(_fourth_powers(ours), ours), 0.1)
        reference.zero_grad()
        _fourth_powers(theirs).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(theirs, clip or torch.inf))
        reference.step()
    torch.testing.assert_close(ours, theirs)
    assert not clip or min(norms) < clip < max(norms)


def _fourth_powers(parameters):
    return sum(parameter.pow(4).sum() for parameter in parameters)
