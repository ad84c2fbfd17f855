"""Transfer configurations: which layers of a task's network are transferred (paper, Sections 2 and 3).

A configuration is a bit per convolutional layer, layer 1 first: `0101` and `{2,4}` both say that
layers 2 and 4 are transferred and layers 1 and 3 are task-specific.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

Partition = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class TransferConfig:
    """One transfer configuration: `bits[l]` is True where layer l+1 is transferred."""

    bits: tuple[bool, ...]

    @classmethod
    def parse(cls, text: str, depth: int) -> TransferConfig:
        """Read `all`, `none`, `topK`, `bottomK`, `alternating`, `0101` or `{2,4}` for `depth` layers.

        Raises ValueError that names the text, the depth and the accepted notations.
        """
        name = text.strip().lower().replace(" ", "")
        if name in ("all", "none"):
            return cls((name == "all",) * depth)
        if name == "alternating":
            return cls(tuple(layer % 2 == 0 for layer in range(1, depth + 1)))
        if match := re.fullmatch(r"(top|bottom)(\d+)", name):
            return cls._ends(match[1], int(match[2]), depth, text)
        if re.fullmatch(r"[01]+", name) and len(name) == depth:
            return cls(tuple(bit == "1" for bit in name))
        if match := re.fullmatch(r"\{((?:\d+(?:,\d+)*)?)\}", name):
            return cls._layers([int(n) for n in match[1].split(",") if n], depth, text)
        raise ValueError(_notation_help(text, depth))

    @classmethod
    def _ends(cls, end: str, k: int, depth: int, text: str) -> TransferConfig:
        if not 1 <= k <= depth:
            raise ValueError(_notation_help(text, depth))
        bottom = tuple(layer < k for layer in range(depth))
        return cls(bottom if end == "bottom" else bottom[::-1])

    @classmethod
    def _layers(cls, layers: Sequence[int], depth: int, text: str) -> TransferConfig:
        if any(not 1 <= layer <= depth for layer in layers):
            raise ValueError(_notation_help(text, depth))
        return cls(tuple(layer in layers for layer in range(1, depth + 1)))

    @classmethod
    def from_index(cls, index: int, depth: int) -> TransferConfig:
        """The configuration at `index` of the canonical order (released code, item 1: layer 1 fastest, True first)."""
        return cls(tuple(not (index >> layer) & 1 for layer in range(depth)))

    @property
    def index(self) -> int:
        """Position in the canonical order: 0 transfers every layer, 2^d - 1 none."""
        return sum((not bit) << layer for layer, bit in enumerate(self.bits))

    @property
    def depth(self) -> int:
        return len(self.bits)

    def __str__(self) -> str:
        return "".join("1" if bit else "0" for bit in self.bits)


def _notation_help(text: str, depth: int) -> str:
    return (
        f"config '{text}' is not a transfer configuration of {depth} layers; use all, none, "
        f"top1..top{depth}, bottom1..bottom{depth}, alternating, {depth} bits such as "
        f"{'01' * (depth // 2) + '1' * (depth % 2)}, or layer numbers such as {{1,{depth}}}"
    )


@dataclass(frozen=True)
class ConfigSpace:
    """The set of configurations a search runs over, in canonical order."""

    configs: tuple[TransferConfig, ...]

    @classmethod
    def full(cls, depth: int) -> ConfigSpace:
        """All 2^depth configurations."""
        return cls(tuple(TransferConfig.from_index(i, depth) for i in range(2**depth)))

    @classmethod
    def grouped(cls, depth: int, groups: Partition) -> ConfigSpace:
        """Configurations that are constant within each group of layers (Appendix E).

        Arguments: groups, a partition of the layer numbers 1..depth.
        Raises ValueError where `groups` is not a partition.
        """
        check_partition(groups, depth)
        of_layer = {layer: number for number, group in enumerate(groups) for layer in group}
        choices = product((True, False), repeat=len(groups))
        configs = (TransferConfig(tuple(bits[of_layer[n + 1]] for n in range(depth))) for bits in choices)
        return cls(tuple(sorted(configs, key=lambda config: config.index)))

    @property
    def depth(self) -> int:
        return self.configs[0].depth

    @cached_property
    def positions(self) -> dict[TransferConfig, int]:
        return {config: position for position, config in enumerate(self.configs)}

    def __len__(self) -> int:
        return len(self.configs)

    def __iter__(self) -> Iterator[TransferConfig]:
        return iter(self.configs)

    def __getitem__(self, position: int) -> TransferConfig:
        return self.configs[position]


def check_partition(groups: Partition, depth: int) -> None:
    """Raise ValueError unless each layer 1..depth is in exactly one group."""
    layers = sorted(layer for group in groups for layer in group)
    if layers != list(range(1, depth + 1)):
        raise ValueError(f"groups {groups} are not a partition of the layers 1..{depth}")


def parse_groups(text: str) -> Partition:
    """Read a partition such as `1,2,3|4,5,6|7,8,9`."""
    try:
        return tuple(tuple(int(n) for n in group.split(",")) for group in text.split("|"))
    except ValueError:
        raise ValueError(f"groups '{text}' is not a partition; write it like 1,2|3,4") from None


def static_set(depth: int) -> dict[str, TransferConfig]:
    """The static configurations of Figures 1 and 3: eight for four layers, sixteen for six."""
    names = ["all", *(f"top{k}" for k in range(1, depth)), *(f"bottom{k}" for k in range(1, depth)), "alternating"]
    if depth == 6:
        names += ["{1,3,5}", "{1,6}", "{2,5}", "{3,4}"]
    return {name: TransferConfig.parse(name, depth) for name in names}
