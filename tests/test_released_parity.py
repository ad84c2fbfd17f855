"""Preset `released` against numbers measured on the authors' own TensorFlow code: forward, E-step, gradients, steps.

`tests/golden/README.md` says how they were made. In float64 what remains is float32 in their learning rate and RMSProp
constants.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from lasem_core.data.stream import Batch
from lasem_core.em import expected_loss, log_likelihood, posterior
from lasem_core.learners import Environment, TaskContext
from lasem_core.model.optim import learning_rate
from lasem_core.runs.run import make_learner
from lasem_core.spec.configs import TransferConfig
from lasem_core.spec.run_spec import RunSpec

BASES = ("hps", "tf", "df-cnn")
# our axes -> the released ones; the knowledge base and the deconvolution of DF-CNN are (C, U, ...) here
TO_RELEASED = {"weight": (2, 3, 1, 0), "knowledge": (0, 2, 3, 1), "deconv": (2, 3, 1, 0)}
# largest error: logits and likelihoods; posteriors and priors over five steps; parameters' change, beside its norm.
# In float32 a step of 1e-6 is a few units in the last place of a weight, and DF-CNN has tiny gradients that RMSProp
# divides by their own running size.
TOLERANCES = {
    ("fp64", "hps"): (1e-12, 1e-7, 1e-6),
    ("fp64", "tf"): (1e-12, 1e-7, 1e-6),
    ("fp64", "df-cnn"): (1e-12, 1e-7, 1e-6),
    ("fp32", "hps"): (5e-6, 1e-5, 1e-3),
    ("fp32", "tf"): (5e-6, 1e-5, 1e-3),
    ("fp32", "df-cnn"): (5e-6, 2e-3, 1e-1),
}
CASES = pytest.mark.parametrize(("precision", "base"), TOLERANCES)


class Task:
    n_classes = 10


@cache
def golden(base, method):
    return json.loads((Path(__file__).parent / "golden" / f"{base}-{method}.json").read_text())


def noise(shape, k):
    i = np.arange(np.prod(shape), dtype=np.float64)
    v = 43758.5453 * np.sin(12.9898 * i + 78.233 * (k + 1))
    return (2 * (v - np.floor(v)) - 1).reshape(shape)


def in_ours(value, name, like):
    """A released array in our layout, as a tensor of the type of `like`."""
    axes = TO_RELEASED.get(name)
    if value.ndim == 2 and name.startswith("weight"):
        value = value.T  # a matrix of the head
    elif axes:
        value = value.transpose(np.argsort(axes))
    return torch.tensor(value.astype(np.float32), dtype=like.dtype).reshape(like.shape).contiguous()


def in_released(tensor, name):
    """One of our tensors as the flat array of the released layout."""
    if tensor.dim() == 2 and name.startswith("weight"):
        return tensor.T.flatten()
    return (tensor.permute(TO_RELEASED[name]) if name in TO_RELEASED and tensor.dim() == 4 else tensor).flatten()


def named(network):
    task = network.task
    groups = [g for g in (*network.shared, *task.adapters, *task.specific, *task.head) if g]
    return [(name, tensor) for group in groups for name, tensor in group.items()]


def opened(base, method, precision, prior="running-mean"):
    """A learner in its first task, with the released parameters."""
    spec = RunSpec(
        dataset="cifar100", method=method, base=base, preset="released", precision=precision, model={"dropout": 0},
        em={"prior": prior} if method == "lasem" else {},
    )  # fmt: skip
    learner = make_learner(Environment(spec, (3, 32, 32), torch.device("cpu")))
    learner.begin_task(TaskContext(0, 0, Task, 1, lambda epoch: learning_rate(spec.optim, epoch)))
    declared = golden(base, method)["parameters"]
    for k, ((name, tensor), given) in enumerate(zip(named(learner.open.network), declared, strict=True)):
        mean = np.eye(given["shape"][0]) if given["mean"] == "identity" else given["mean"]
        with torch.no_grad():
            tensor.copy_(in_ours(mean + given["scale"] * noise(given["shape"], k), name.rstrip("0123456789"), tensor))
    return learner


def batch_of(learner, step, epoch):
    images = (1.7 * noise((10, 32, 32, 3), 100 + step)).astype(np.float32)
    images = torch.tensor(images, dtype=learner.env.dtype).permute(0, 3, 1, 2)
    labels = torch.tensor([(3 * n + step) % 10 for n in range(10)])
    return Batch(images, labels, learner.open.context.lr(epoch), (0, 0, step))


def worst(ours, theirs):
    return float((torch.as_tensor(ours).double() - torch.tensor(theirs, dtype=torch.float64)).abs().max())


def assert_same(tensors, facts, tolerance):
    """Norm, sum and six entries of every parameter's array, each error relative to the array's norm."""
    for (name, tensor), fact in zip(tensors, facts, strict=True):
        flat = in_released(tensor, name).double()
        scale = max(fact["norm"], 1e-30)
        assert abs(float(flat.norm()) - fact["norm"]) <= tolerance * scale, name
        assert abs(float(flat.sum()) - fact["sum"]) <= tolerance * scale * len(flat) ** 0.5, name
        assert worst(flat[fact["at"]], fact["values"]) <= tolerance * scale, name


def test_configurations_come_in_their_order():
    assert [str(TransferConfig.from_index(i, 4)) for i in range(16)] == golden("hps", "lasem")["configurations"]


@CASES
@pytest.mark.parametrize("method", ["static", "lasem"])
def test_one_step_by_its_parts(precision, base, method):
    """Logits of every configuration, likelihood, posterior, and the gradient of every parameter."""
    learner, facts = opened(base, method, precision), golden(base, method)
    tolerance, _, coarse = TOLERANCES[precision, base]
    batch = batch_of(learner, 0, 0)
    features = learner.open.network.features(batch.images, learner.open.search.trie)
    logits = learner.open.network.logits(features)
    assert worst(logits.detach(), facts["logits"]) <= tolerance * np.abs(facts["logits"]).max()
    belief = learner.open.search.prior.probabilities()
    if method == "lasem":
        log_lik = log_likelihood(logits.detach(), batch.labels, "mean")
        belief = posterior(belief, log_lik)
        assert worst(log_lik.exp(), facts["likelihood"]) <= tolerance
        assert worst(belief, facts["posterior"]) <= tolerance
    loss = expected_loss(learner.open.network, learner.open.search.trie, features, belief, batch, 0)
    names, tensors = zip(*named(learner.open.network), strict=True)
    gradients = torch.autograd.grad(loss, tensors)
    exact = precision == "fp64"
    assert_same(list(zip(names, gradients, strict=True)), facts["gradient"], 1e-12 if exact else coarse)


RUNS = [
    (precision, base, *run)
    for precision, base in TOLERANCES
    for run in [("static", "static"), ("lasem", "running-mean"), ("lasem", "count")]
    if run[1] != "count" or base == "hps"  # counting knows no base
]


@pytest.mark.parametrize(("precision", "base", "method", "prior"), RUNS)
def test_five_whole_steps(precision, base, method, prior):
    """Posterior and prior after each step, and how far RMSProp has moved every parameter after five."""
    learner, facts = opened(base, method, precision, prior), golden(base, method)
    run, (_, belief, change) = facts["runs"][prior], TOLERANCES[precision, base]
    before = [tensor.detach().clone() for _, tensor in named(learner.open.network)]
    for step, epoch in enumerate(facts["epochs"]):
        learner.train_step(batch_of(learner, step, epoch))
        if method == "lasem":
            assert worst(learner.open.trace.kept[-1], run["posteriors"][step]) <= belief
            assert worst(learner.open.search.prior.probabilities(), run["priors"][step]) <= belief
    names, after = zip(*named(learner.open.network), strict=True)
    moved = [(name, b.detach() - a) for name, a, b in zip(names, before, after, strict=True)]
    assert_same(moved, run["change"], change)


def test_a_wrong_constant_is_seen():
    """The guard guards: RMSProp started at 0, or a joint likelihood, are far outside the tolerances."""
    learner, facts = opened("hps", "lasem", "fp64"), golden("hps", "lasem")
    batch = batch_of(learner, 0, 0)
    logits = learner.open.network.logits(learner.open.network.features(batch.images, learner.open.search.trie)).detach()
    joint = posterior(learner.open.search.prior.probabilities(), log_likelihood(logits, batch.labels, "joint"))
    assert worst(joint, facts["posterior"]) > 0.01
    for squares in learner.open.search.optimizer.mean_squares:
        squares.zero_()
    before = learner.shared[0]["weight"].detach().clone()
    learner.train_step(batch)
    moved = (learner.shared[0]["weight"].detach() - before).norm()
    assert float(moved) > 10 * facts["runs"]["running-mean"]["change"][0]["norm"]
