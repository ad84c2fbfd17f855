"""Pictures of the planted study: which configurations are good, what LASEM chose, what its choice cost."""

from __future__ import annotations

import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lasem_core.spec.configs import ConfigSpace
from lasem_core.views import canvas
from lasem_core.views.canvas import ALL, LASEM
from lasem_core.views.evidence import Evidence
from lasem_core.views.planted import COMPARISONS, PLANTED, ranking, regret_table, transfer_share, trial_table

CONFIGS = [str(config) for config in ConfigSpace.full(4)][::-1]  # nothing transferred first
BASES = ("hps", "df-cnn")
PRESETS = {"paper": (LASEM, "o", -0.12), "released": (ALL, "s", 0.12)}  # colour, marker, shift


def accuracies(evidence: Evidence) -> Figure:
    """Mean accuracy after the last task of every static configuration; a frame marks what the tasks are made for."""
    table = ranking(trial_table(evidence.records))

    def draw(axes: Axes, _: str, base: str) -> bool:
        here = table[table["base"] == base]
        if here.empty:
            return False
        grid = 100 * here.pivot(index="config", columns="relatedness", values="accuracy").reindex(
            CONFIGS, columns=PLANTED
        )
        sns.heatmap(grid, annot=True, fmt=".0f", cmap="cividis", ax=axes, annot_kws={"fontsize": 8},
                    cbar_kws={"label": "final accuracy (%)"})  # fmt: skip
        for column, (made_for, _) in enumerate(PLANTED.values()):
            place = (column, grid.index.get_loc(made_for))
            axes.add_patch(Rectangle(place, 1, 1, fill=False, edgecolor=LASEM, lw=2.5, clip_on=False))
        axes.set(xlabel="what the tasks have in common", ylabel="transferred layers, layer 1 first")
        axes.tick_params(axis="y", rotation=0)
        return True

    return canvas.caption(canvas.panel_grid([""], BASES, draw, (4.0, 4.8)), evidence.caption)


def comparisons(evidence: Evidence) -> Figure:
    """LASEM's regret and gains with 95 % intervals over trials, for both presets."""
    table = regret_table(trial_table(evidence.records))

    def draw(axes: Axes, measure: str, base: str) -> bool:
        here = table[table["base"] == base]
        for preset, (colour, marker, shift) in PRESETS.items():
            rows = here[here["preset"] == preset].set_index("relatedness").reindex(PLANTED)
            places = [place + shift for place in range(len(PLANTED))]
            axes.errorbar(100 * rows[measure], places, xerr=100 * rows[f"{measure}_ci"], fmt=marker, color=colour,
                          capsize=3, label=preset)  # fmt: skip
        axes.axvline(0, color="0.6", lw=0.8, ls=":")
        axes.set_yticks(range(len(PLANTED)), PLANTED)
        axes.invert_yaxis()
        axes.set(xlabel=f"{COMPARISONS[measure]} (points)", title=canvas.title("", base))
        if (measure, base) == ("gain_over_random", BASES[0]):
            axes.legend(frameon=False, title="preset", loc="upper left", bbox_to_anchor=(1, 1))
        return not here.empty

    return canvas.caption(canvas.panel_grid(list(COMPARISONS), BASES, draw, (3.6, 2.9)), evidence.caption)


def choices(evidence: Evidence) -> Figure:
    """How often LASEM's later tasks transfer each layer, by what the tasks have in common."""
    table = transfer_share(evidence.records)

    def draw(axes: Axes, preset: str, base: str) -> bool:
        here = table[(table["preset"] == preset) & (table["base"] == base)]
        if here.empty:
            return False
        grid = 100 * here.set_index("relatedness").reindex(PLANTED).filter(like="layer")
        sns.heatmap(grid, annot=True, fmt=".0f", cmap="cividis", vmin=0, vmax=100, ax=axes,
                    cbar_kws={"label": "transferred (%)"})  # fmt: skip
        axes.set(ylabel="what the tasks have in common", title=f"{canvas.title('', base)} · {preset}")
        return True

    return canvas.caption(canvas.panel_grid(list(PRESETS), BASES, draw, (4.0, 2.8)), evidence.caption)
