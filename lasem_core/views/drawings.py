"""Figures 2 and 6: what is shared and what the networks look like, drawn from the code's own sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lasem_core.model import transfer
from lasem_core.spec.architecture import Architecture, ConvLayer
from lasem_core.spec.configs import TransferConfig
from lasem_core.spec.run_spec import RunSpec, build_spec
from lasem_core.views import canvas
from lasem_core.views.canvas import SPECIFIC, TASKS
from lasem_core.views.words import BASE_NAMES, title

IMAGE_SIZES = {"cifar100": 32, "office-home": 128, "stl10": 96, "stl10-group": 96, "planted": 32, "digits": 8}


def architecture(dataset: str, base: str = "hps") -> tuple[Architecture, RunSpec]:
    """The task network of a data set (Figure 6) and the specification it comes from."""
    spec = build_spec({"dataset": dataset, "method": "static", "base": base, "profile": "paper"})
    size = IMAGE_SIZES.get(dataset, 128)
    return Architecture.build(spec.model, (3, size, size)), spec


def parameter_table(dataset: str, base: str) -> pd.DataFrame:
    """Parameters of every layer: task-specific alternative, shared knowledge, a task's adapter to it."""
    arch, spec = architecture(dataset, base)
    way = transfer.sharing(spec)
    meta = transfer.Initializer(spec.model, ("sizes",), torch.device("cpu"), torch.float32)
    rows = [
        {
            "dataset": dataset,
            "base": base,
            "layer": layer.number,
            "task-specific": _count(transfer.specific_filters(layer, meta)),
            "shared": _count(way.init_shared(layer, meta)),
            "adapter": _count(way.init_adapter(layer, meta)),
        }
        for layer in arch.layers
    ]
    return pd.DataFrame(rows)


def parameter_tables(dataset: str) -> pd.DataFrame:
    """The same for the three ways of sharing."""
    return pd.concat([parameter_table(dataset, base) for base in ("hps", "tf", "df-cnn")], ignore_index=True)


def _count(tensors: transfer.Tensors) -> int:
    return sum(tensor.numel() for tensor in tensors.values())


def transfer_configuration(config: str, dataset: str = "cifar100") -> Figure:
    """Figure 2: one transfer configuration in the three ways of sharing, for two tasks."""

    def draw(axes: Axes, base: str, _: str) -> bool:
        sizes = parameter_table(dataset, base)
        bits = TransferConfig.parse(config, len(sizes)).bits
        for row, bit in zip(sizes.itertuples(), bits, strict=True):
            _draw_layer(axes, row.layer, bit, row)
        for task, colour in enumerate(TASKS):
            _flow(axes, 3 * task, [bit and base == "hps" for bit in bits])
            _box(axes, 3 * task, len(bits) + 1, colour, f"head {task + 1}")
            axes.text(3 * task, len(bits) + 1.75, f"task {task + 1}", ha="center", color=colour)
        axes.text(1.5, 0.25, "input image (layer 1 at the bottom)", ha="center", color="0.4", fontsize=8)
        axes.set(xlim=(-1.2, 4.2), ylim=(0, len(bits) + 2.1), title=BASE_NAMES[base])
        axes.set_axis_off()
        return True

    figure = canvas.panel_grid(["hps", "tf", "df-cnn"], [""], draw, (3.4, 4.0))
    return canvas.caption(figure, f"configuration {config}, layer 1 first; numbers: parameters")


def _draw_layer(axes: Axes, layer: int, transferred: bool, sizes: tuple) -> None:
    for task, colour in enumerate(TASKS):
        if not transferred:
            _box(axes, 3 * task, layer, colour, f"conv {layer}\n{_short(sizes[4])}")
        elif sizes.adapter:
            _box(axes, 3 * task, layer, colour, f"adapter\n{_short(sizes.adapter)}", 0.62)
            axes.plot([1.5, 3 * task], [layer, layer], color="0.6", lw=1, ls=":", zorder=0)
    if transferred:
        _box(axes, 1.5, layer, SPECIFIC, f"shared {layer}\n{_short(sizes.shared)}")


def _flow(axes: Axes, place: float, through_shared: Sequence[bool]) -> None:
    """The way of a task's images from below the first layer to its head."""
    columns = [1.5 if shared else place for shared in through_shared]
    axes.plot([columns[0], *columns, place], [0.5, *range(1, len(columns) + 2)], color="0.6", lw=1, zorder=0)


def _box(axes: Axes, x: float, y: float, colour: str, text: str, height: float = 0.72) -> None:
    axes.add_patch(Rectangle((x - 0.62, y - height / 2), 1.24, height, fc=colour, ec="white"))
    axes.text(x, y, text, ha="center", va="center", color="white", fontsize=7.5)


def _short(count: int) -> str:
    return f"{count / 1000:.1f}k" if count < 1e6 else f"{count / 1e6:.2f}M"


def task_networks(datasets: Sequence[str] = ("cifar100", "office-home", "stl10")) -> Figure:
    """Figure 6: the task networks, block height by image side, block width by channels."""

    def draw(axes: Axes, dataset: str, _: str) -> bool:
        arch, spec = architecture(dataset)
        place = _block(axes, 0, IMAGE_SIZES.get(dataset, 128), 3, "input")
        for layer in arch.layers:
            place = _block(axes, place, layer.out_size[0], layer.out_channels, _layer_text(layer))
        for width in (*arch.head, spec.stream.classes_per_task):
            place = _column(axes, place, width)
        axes.set(xlim=(-0.4, place), ylim=(-7.4, 5.2), title=title(dataset))
        axes.set_axis_off()
        return True

    figure = canvas.panel_grid([""], list(datasets), lambda a, _, row: draw(a, row, ""), (4.4, 3.0))
    return canvas.caption(figure, "height: image side, width: channels, both on a logarithmic scale")


def _block(axes: Axes, place: float, side: int, channels: int, text: str) -> float:
    height, width = 1.3 * math.log2(side) / 2, 0.25 + math.log2(channels) / 8
    axes.add_patch(Rectangle((place, -height), width, 2 * height, fc=SPECIFIC, ec="white", alpha=0.75))
    axes.text(place + width / 2, height + 0.15, f"{side}²×{channels}", ha="center", fontsize=6.5)
    axes.text(place + width / 2, -5.0, text, ha="center", va="top", fontsize=6.5, color="0.3")
    return place + width + 0.75


def _column(axes: Axes, place: float, width: int) -> float:
    height = 0.35 * math.log2(width) + 0.3
    axes.add_patch(Rectangle((place, -height), 0.22, 2 * height, fc=canvas.COLOURS["tf"], ec="white"))
    axes.text(place + 0.11, height + 0.15, str(width), ha="center", fontsize=6.5)
    axes.text(place + 0.11, -5.0, "fc", ha="center", va="top", fontsize=6.5, color="0.3")
    return place + 0.75


def _layer_text(layer: ConvLayer) -> str:
    pool = f"\npool {layer.pool}" if layer.pool > 1 else ""
    return f"conv {layer.number}\n{layer.kernel}×{layer.kernel}{pool}"


def architecture_table(datasets: Sequence[str] = ("cifar100", "office-home", "stl10")) -> pd.DataFrame:
    """Figure 6 in numbers: one row per convolutional layer."""
    rows = []
    for dataset in datasets:
        for layer in architecture(dataset)[0].layers:
            own = {"dataset": dataset, "layer": layer.number, "kernel": layer.kernel, "channels": layer.out_channels}
            rows.append(own | {"pool": layer.pool, "output side": layer.out_size[0], "MFLOP": layer.flops / 1e6})
    return pd.DataFrame(rows)


def parameters_of_table2(datasets: Sequence[str] = ("cifar100", "office-home", "stl10")) -> pd.DataFrame:
    """Table 2: the experiments' parameters as the specification resolves them at profile `paper`."""
    rows = []
    for dataset in datasets:
        spec = build_spec({"dataset": dataset, "profile": "paper"})
        size = IMAGE_SIZES.get(dataset, 128)
        row = {"dataset": dataset, "tasks": spec.stream.n_tasks, "classes per task": spec.stream.classes_per_task}
        row |= {"fraction of data": spec.stream.fraction, "validation share": spec.stream.valid_fraction}
        row |= {"image side": size, "optimizer": "rmsprop-tf", "learning rate": spec.optim.lr}
        row |= {"batch": spec.optim.batch_size, "epochs": spec.schedule.epochs, "M-steps": spec.em.m_steps}
        rows.append(row)
    return pd.DataFrame(rows).set_index("dataset").T.rename_axis(None).rename_axis(None, axis=1)
