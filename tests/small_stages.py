"""Small networks of stages on small tasks, and whether two searches hold the same."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from lasem_core import LayerTransfer


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


class Then(nn.Conv2d):
    """A convolution, then `function`."""

    def __init__(self, function):
        super().__init__(4, 4, 1)
        self.function = function

    def forward(self, x):
        return self.function(super().forward(x))


def stage(function):
    return [block(3, 4), lambda: Then(function), pooled(4, 8)]
