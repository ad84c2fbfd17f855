"""Streams, learners and checkpoints small enough to run every method many times."""

import copy

import torch

from lasem_core.data.stream import Split, Task, TaskStream
from lasem_core.learners import METHODS, Environment
from lasem_core.runs.run import make_learner
from lasem_core.spec.consistency import SHARING_METHODS
from lasem_core.spec.run_spec import RunSpec
from lasem_core.training import Progress, lifelong

MODEL = {
    "channels": (4, 5, 6),
    "kernels": (3, 3, 3),
    "pools": (1, 2, 2),
    "head": (7,),
    "kb_channels": None,
    "deconv_channels": None,
}
CASES = [(m, b) for m in METHODS for b in (("hps", "tf", "df-cnn") if m in SHARING_METHODS else ("none",))]
STAGED = [("lasem", "hps", "transformer"), ("lasem", "df-cnn", "resnet"), ("lasem", "tf", "resnet"),
          ("static", "hps", "transformer"), ("single-task", "none", "resnet")]  # fmt: skip
CPU = torch.device("cpu")


def spec_of(method, base="none", epochs=3, network="cnn", **options):
    settings = {
        "dataset": "cifar100",
        "method": method,
        "base": base,
        "model": MODEL if network == "cnn" else {"network": network},
        "optim": {"batch_size": 8} | ({} if method == "darts" else {"lr": 1e-2}),
        "schedule": {"epochs": epochs, "test_every": 2},
        "den": {"expansion": 3} if method == "den" else {},
        "stream": {"n_tasks": 3},
    }
    for part, values in options.items():
        settings[part] = settings.get(part, {}) | values if isinstance(values, dict) else values
    return RunSpec(**settings)


def split(seed, n, classes):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n).remainder(classes)
    patterns = torch.randn(classes, 3, 8, 8, generator=torch.Generator().manual_seed(seed // 10))
    return Split(patterns[labels] + 0.7 * torch.randn(n, 3, 8, 8, generator=generator), labels)


def stream(n_tasks=3, order=None, n=20, classes=3):
    tasks = []
    for t in range(n_tasks):
        parts = (split(100 * t + i, size, classes) for i, size in enumerate((n, 6, 12)))
        tasks.append(Task(f"t{t}", ("a", "b", "c")[:classes], *parts))
    return TaskStream(tasks, tuple(order or range(n_tasks)), "small")


def environment(spec, device=CPU, **options):
    return Environment(spec, (3, 8, 8), device, **options)


class Stopped(Exception):
    pass


class Memory:
    """A checkpoint in memory that keeps every state offered and stops the run at one of them."""

    def __init__(self, state=None, stop_at=None):
        self.state, self.stop_at, self.offers = state, stop_at, 0

    def load(self):
        return copy.deepcopy(self.state)

    def offer(self, build_state, force=False):
        self.offers += 1
        if self.offers == self.stop_at:
            self.state = copy.deepcopy(build_state())
            raise Stopped


def run(spec, tasks, memory=None, **options):
    env = environment(spec, **options)
    learner = make_learner(env)
    return learner, lifelong(learner, tasks, memory or Memory(), Progress())


def flat(value):
    """Every leaf of nested state, tensors as they are."""
    if isinstance(value, dict):
        return [leaf for name in value for leaf in [name, *flat(value[name])]]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in flat(item)]
    return [value]


def same(one, two):
    """Equality of nested state, bit for bit."""
    pairs = list(zip(flat(one), flat(two), strict=True))
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b or a != a for a, b in pairs)


def results(life):
    """What a repetition must give again: everything but seconds."""
    visits = [(v.best_valid, v.peak_at_best_valid, v.peak_test, v.history, v.posterior) for v in life.visits]
    return [visits, life.accuracy]
