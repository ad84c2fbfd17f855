"""Planted tasks: procedural 32x32 RGB images whose best transfer configuration is known by construction.

A class is a *glyph*: an arrangement of cells on a 4x4 grid, drawn at a random place with a few cells flipped. Each
colour channel shows a glyph, but only one of them belongs to the class; the other two are drawn at random. An
*appearance* says which channel counts, whether its figure is bright or dark, and the texture of figure and ground.
Finding the figure is the work of the bottom layers, reading the glyph that of the top layers, so
`stream.relatedness` plants what is worth sharing:

    low    one appearance, new glyphs in every task      -> share the bottom layers
    high   the same glyphs, a new appearance per task    -> share the top layers
    both   the same glyphs in one appearance             -> share everything
    none   new glyphs and a new appearance per task      -> share nothing
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lasem_core.common.keyed_random import key, permutation, uniform
from lasem_core.data import splits
from lasem_core.data.pixels import Noise, gaussian
from lasem_core.data.stream import Split, Task, TaskStream
from lasem_core.spec.run_spec import RunSpec

VERSION = "planted-3"
SIDE = 32
GRID = 4  # cells per side of a glyph
CELL = 6  # pixels per side of a cell
FIGURE_CELLS = 8  # cells of a glyph that belong to the figure
JITTER = 3  # pixels a glyph may be off the centre
FLIP = 0.06  # share of cells that are wrong in an image
OFFSET = 1.0  # how far the figure stands out from the ground
GRATING = 0.3  # amplitude of the gratings
NOISE = 0.4  # standard deviation of the pixel noise
COUNTS = {"train": 20, "valid": 10, "test": 50}  # images per class


@dataclass(frozen=True)
class Appearance:
    """How images look: the channel that counts, the figure's sign, wave vectors of figure and ground (2, 2)."""

    channel: int
    sign: float
    waves: Tensor


def load(spec: RunSpec, root: Path | None) -> TaskStream:
    """`stream.n_tasks` tasks of `stream.classes_per_task` glyphs with 20 training, 10 validation and 50 test
    images per class: a pure function of the spec; `stream.fraction` draws fewer training images."""
    tasks = [_task(spec, t) for t in range(spec.stream.n_tasks)]
    return splits.in_order(spec, tasks, f"Planted tasks ({spec.stream.relatedness})")


def _task(spec: RunSpec, task: int) -> Task:
    related, trial = spec.stream.relatedness, splits.trial(spec)
    glyph_task = 0 if related in ("high", "both") else task
    look_task = 0 if related in ("low", "both") else task
    glyphs = _glyphs(key(trial, "planted glyphs", glyph_task), spec.stream.classes_per_task)
    look = _appearance(trial, look_task)
    counts = COUNTS | {"train": max(1, round(spec.stream.fraction * COUNTS["train"]))}
    drawn = (_draw(key(trial, "planted", task, split), glyphs, look, n) for split, n in counts.items())
    names = tuple(f"glyph {glyph_task + 1}.{k + 1}" for k in range(len(glyphs)))
    return Task(f"glyphs {glyph_task + 1}, appearance {look_task + 1}", names, *drawn)


def _glyphs(k: int, n: int) -> Tensor:
    """n glyphs (n, GRID, GRID) of zeros and ones."""
    glyphs = torch.zeros(n, GRID * GRID)
    for row in range(n):
        glyphs[row, permutation(key(k, row), GRID * GRID)[:FIGURE_CELLS]] = 1
    return glyphs.view(n, GRID, GRID)


def _appearance(trial: int | str, task: int) -> Appearance:
    """Neighbouring tasks never use the same channel; after three tasks the sign changes."""
    first = permutation(key(trial, "planted channel"), 3)[0].item()
    angle, length = uniform(key(trial, "planted texture", task), torch.zeros(1, dtype=torch.int64), 2)[0].tolist()
    angles = torch.tensor([angle, angle + 0.5]) * math.pi  # figure and ground stand at right angles
    waves = torch.stack([angles.cos(), angles.sin()], 1) * 2 * math.pi / (3 + length)
    return Appearance((first + task) % 3, 1.0 if task // 3 % 2 == 0 else -1.0, waves)


def _draw(k: int, glyphs: Tensor, look: Appearance, per_class: int) -> Split:
    labels = torch.arange(len(glyphs)).repeat_interleave(per_class)  # (N,)
    images = torch.arange(len(labels))
    shown = [_glyphs_of_images(key(k, "distractor", c), images) for c in range(3)]
    shown[look.channel] = glyphs[labels]
    figure = torch.stack([_figures(key(k, c), cells, images) for c, cells in enumerate(shown)], 1)  # (N, 3, 32, 32)
    texture = _textures(k, look.waves, images)  # (N, 2, 3, 32, 32)
    clean = figure * (texture[:, 0] + look.sign * OFFSET) + (1 - figure) * texture[:, 1]
    noise = gaussian(Noise(0.0, NOISE, key(k, "noise")), images, 3 * SIDE * SIDE).view_as(clean)
    return Split(clean + noise, labels)


def _glyphs_of_images(k: int, images: Tensor) -> Tensor:
    """A random glyph for each image, (N, GRID, GRID)."""
    order = uniform(k, images, GRID * GRID).argsort(1)
    return (order < FIGURE_CELLS).float().view(-1, GRID, GRID)


def _textures(k: int, waves: Tensor, images: Tensor) -> Tensor:
    """Gratings of figure and ground with a phase per image and channel, (N, 2, 3, 32, 32)."""
    phases = uniform(key(k, "phase"), images, 6).float().view(-1, 2, 3, 1, 1) * 2 * math.pi
    axis = torch.arange(SIDE, dtype=torch.float32)
    angles = waves[:, 0, None, None] * axis + waves[:, 1, None, None] * axis[:, None]  # (2, 32, 32)
    return GRATING * torch.sin(angles[:, None] + phases)


def _figures(k: int, glyphs: Tensor, images: Tensor) -> Tensor:
    """Figure masks (N, 32, 32): the glyphs with flipped cells, magnified, at a random place."""
    flipped = (uniform(key(k, "flip"), images, GRID * GRID) < FLIP).view_as(glyphs)
    cells = (glyphs.bool() ^ flipped).float()
    large = cells.repeat_interleave(CELL, 1).repeat_interleave(CELL, 2)  # (N, 24, 24)
    first = (SIDE - GRID * CELL) // 2 - JITTER + (uniform(key(k, "place"), images, 2) * (2 * JITTER + 1)).long()
    masks = torch.zeros(len(images), SIDE, SIDE)
    for mask, glyph, (row, column) in zip(masks, large, first.tolist(), strict=True):
        mask[row : row + GRID * CELL, column : column + GRID * CELL] = glyph
    return masks


def fingerprint(spec: RunSpec, root: Path | None) -> str:
    """See `lasem_core.data.fingerprint`."""
    return VERSION
