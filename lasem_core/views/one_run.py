"""Pictures of single runs: what EM chose, how the choice came about, what was forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lasem_core.runs import results
from lasem_core.runs.record import RunRecord
from lasem_core.views import canvas
from lasem_core.views.canvas import ALL, LASEM, SPECIFIC, TRANSFERRED, percent
from lasem_core.views.evidence import alike, choice_table, posterior_table
from lasem_core.views.replay import last_switch, recorded_posterior, wins
from lasem_core.views.words import BASE_NAMES, joined, method_name, spread, title

LEADING = (LASEM, ALL, *(canvas.COLOURS[base] for base in ("df-cnn", "tf")))  # by rank; the rest is grey


def choices(record: RunRecord, planted: str = "") -> Figure:
    """Which layers each task ended up transferring; below them what was `planted`, where that is known."""
    return shared_or_own(record.configs, "layer", describe(record), planted)


def shared_or_own(configs: Sequence[str], level: str, text: str, planted: str = "") -> Figure:
    """A cell per task and level (layer, stage): does the task share it?"""
    n_rows = len(configs) + bool(planted)
    with canvas.style():
        figure = Figure((1.6 + 0.8 * max(map(len, configs)), 1.4 + 0.45 * n_rows), layout="constrained")
        draw_choices(configs, figure.subplots(), level, planted)
    return canvas.caption(figure, text)


def draw_choices(configs: Sequence[str], axes: Axes, level: str = "layer", planted: str = "") -> None:
    """Tasks by levels: shared or the task's own."""
    chosen: dict[object, str] = {task: config for task, config in enumerate(configs, start=1) if config}
    chosen |= {"planted": planted} if planted else {}
    bits = np.array([[int(bit) for bit in config] for config in chosen.values()])
    words = np.where(bits == 1, "shared", "own")
    sns.heatmap(bits, annot=words, fmt="", cmap=[SPECIFIC, TRANSFERRED], cbar=False, linewidths=2, vmin=0, vmax=1,
                xticklabels=range(1, bits.shape[1] + 1), yticklabels=list(chosen), ax=axes)  # fmt: skip
    axes.set(xlabel=level, ylabel="task")
    axes.tick_params(axis="y", rotation=0)


def transfer_over_time(record: RunRecord) -> Figure:
    """Probability that each layer is transferred, over the epochs of each task."""
    layers = [name for name in record.history if name.startswith("transfer_")]
    long = record.history[record.history["epoch"] > 0].melt(["task", "epoch"], layers, "layer", "probability")
    long["layer"] = long["layer"].str.removeprefix("transfer_")

    def draw(axes: Axes, task: int, _: str) -> bool:
        here = long[long["task"] == task]
        sns.lineplot(here, x="epoch", y="probability", hue="layer", style="layer", palette="colorblind", ax=axes,
                     legend="brief" if task == tasks[0] else False)  # fmt: skip
        axes.set(ylim=(-0.02, 1.02), title=f"task {task + 1}: chose {record.configs[task]}")
        percent(axes, "probability of transfer")
        return True

    tasks = sorted(long["task"].unique())[:6]
    return canvas.caption(canvas.panel_grid(tasks, [""], draw, (3.0, 2.6)), describe(record))


def first_minibatches(record: RunRecord, tasks: Sequence[int] = (0, 1, 2)) -> Figure:
    """The posterior over configurations, mini-batch by mini-batch, at the start of tasks."""

    def draw(axes: Axes, task: int, _: str) -> bool:
        table = posterior_table(record, task)
        table = table[table["step"] >= 0]
        if table.empty:
            return False
        wide = table.pivot_table(index="step", columns="config", values="mass", aggfunc="first")
        order = wide.mean().sort_values(ascending=False, kind="stable").index
        for rank, config in enumerate(order[::-1], start=1 - len(order)):
            colour = LEADING[-rank] if -rank < len(LEADING) else "0.8"
            axes.plot(wide.index, wide[config], color=colour, lw=1.2, label=config if -rank < 3 else None)
        axes.set(xlabel="mini-batch", ylim=(-0.02, 1.02), title=f"task {task + 1}")
        axes.legend(frameon=False, fontsize="small", reverse=True)
        percent(axes, "posterior")
        return True

    shown = [task for task in tasks if task < len(record.configs)]
    return canvas.caption(canvas.panel_grid(shown, [""], draw, (3.2, 2.6)), describe(record))


def accuracy_matrix(record: RunRecord) -> Figure:
    """Test accuracy of every task after every task end."""
    matrix = 100 * results.accuracy_matrix(record.accuracy)
    with canvas.style():
        figure = Figure((2.2 + 0.5 * len(matrix), 1.8 + 0.4 * len(matrix)), layout="constrained")
        axes = figure.subplots()
        sns.heatmap(matrix, annot=len(matrix) <= 10, fmt=".0f", cmap="cividis", ax=axes,
                    cbar_kws={"label": "test accuracy (%)"}, xticklabels=matrix.columns + 1,
                    yticklabels=matrix.index + 1)  # fmt: skip
        axes.set(xlabel="task", ylabel="after training task")
        axes.tick_params(axis="y", rotation=0)
    return canvas.caption(figure, describe(record))


def settling(record: RunRecord) -> str:
    """When each task's choice last changed within its recorded mini-batches, in words."""
    last = _last_switch_by_task(record)
    steps = record.posterior["step"].max() + 1
    words = joined([f"{step} in task {task}" for task, step in enumerate(last, start=1)])
    return f"Of {steps} mini-batches, the last at which the configuration with most wins changed: {words}."


def describe(record: RunRecord) -> str:
    """Data set, method, base, profile and seed of a run, for the line above its pictures."""
    spec = record.spec
    method = method_name(spec.method, spec.base)
    return f"{title(spec.dataset)}, {method}, profile {spec.profile}, seed {spec.seed}"


def switches(record: RunRecord) -> str:
    """A run's EM switches in a few words."""
    em = record.spec.em
    steps = "" if em.m_steps == 1 else f", {em.m_steps} M-steps"
    return f"{em.likelihood} / {em.prior}{'' if em.rollback else ', no roll-back'}{steps}"


def convergence(records: Sequence[RunRecord]) -> Figure:
    """How fast the posterior concentrates under each likelihood and prior (one M-step; roll-back does not enter)."""
    shown = [r for r in records if r.spec.em.rollback and r.spec.em.m_steps == 1]
    weights = pd.concat([_weight_by_epoch(record) for record in shown]) if shown else pd.DataFrame()

    def draw(axes: Axes, likelihood: str, base: str) -> bool:
        here = weights[(weights["likelihood"] == likelihood) & (weights["base"] == base)] if shown else weights
        if here.empty:
            return False
        sns.lineplot(here, x="epoch", y="weight", hue="prior", style="prior", palette="colorblind",
                     errorbar=canvas.interval, ax=axes)  # fmt: skip
        axes.set(xlabel="epoch of a task", ylim=(0, 1.02), title=f"{likelihood} likelihood, {BASE_NAMES[base]}")
        axes.legend(frameon=False, title="prior")
        percent(axes, "largest posterior weight")
        return True

    bases = list(dict.fromkeys(record.spec.base for record in shown)) or ["hps"]
    figure = canvas.panel_grid(["joint", "mean"], bases, draw, (4.2, 3.0))
    return canvas.caption(figure, _of_trials(shown) if shown else "no records")


def _weight_by_epoch(record: RunRecord) -> pd.DataFrame:
    """Mean over the tasks of a run."""
    history, spec = record.history[record.history["epoch"] > 0], record.spec
    weight = history.groupby("epoch")["max_weight"].mean().rename("weight").reset_index()
    return weight.assign(base=spec.base, likelihood=spec.em.likelihood, prior=spec.em.prior, seed=spec.seed)


def _of_trials(records: Sequence[RunRecord]) -> str:
    spec, n = records[0].spec, len({record.spec.seed for record in records})
    trials = f"n = {n}, 95 % t-interval" if n > 1 else "one trial"
    return f"{title(spec.dataset)}, LASEM, profile {spec.profile}; mean over tasks, {trials}"


def last_switches(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Per run: the last recorded mini-batch, by task, at which the configuration with most wins changed, and the
    largest weight of the posterior at the end of tasks."""
    rows = [
        {
            "base": BASE_NAMES[record.spec.base],
            "switches": switches(record),
            "seed": record.spec.seed,
            "last switch by task": _last_switch_by_task(record),
            "largest weight": spread(record.history.groupby("task")["max_weight"].last().mean(), 3),
        }
        for record in records
    ]
    return pd.DataFrame(rows)


def locking_table(records: Sequence[RunRecord]) -> pd.DataFrame:
    """Per data set and base: at which of a task's recorded mini-batches LASEM's choice last changes, in how many tasks
    it is the one that the task ends in, and how often two trials choose the same for a task."""
    kinds: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records:
        if record.spec.method == "lasem":
            kinds.setdefault((record.spec.dataset, record.spec.base), []).append(record)
    return pd.DataFrame([_locking(*kind, here) for kind, here in kinds.items()])


def _locking(dataset: str, base: str, records: Sequence[RunRecord]) -> dict[str, object]:
    beliefs = [(names, wins(posteriors), record.configs[task - 1]) for record in records
               for task, names, posteriors in _first_minibatches(record)]  # fmt: skip
    switches = [last_switch(won) for _, won, _ in beliefs]
    recorded = records[0].posterior["step"].max() + 1
    pairs = alike(choice_table(records), "task")
    same = [names[int(won[-1].argmax())] == chosen for names, won, chosen in beliefs]
    return {"dataset": dataset, "base": base, "tasks": len(switches), "runs": len(records),
            "median last switch": int(np.median(switches)), "latest": max(switches), "recorded": int(recorded),
            "kept to the end (%)": f"{100 * np.mean(same):.0f}",
            "two trials alike (%)": f"{100 * np.mean(pairs):.0f}" if pairs else "-"}  # fmt: skip


def _last_switch_by_task(record: RunRecord) -> list[int]:
    return [last_switch(wins(posteriors)) for _, _, posteriors in _first_minibatches(record)]


def _first_minibatches(record: RunRecord) -> Iterator[tuple[int, list[str], np.ndarray]]:
    """Per task, counted from 1: names of the configurations, posteriors of its recorded mini-batches (N, C)."""
    for task in range(1, len(set(record.posterior["task"])) + 1):
        yield task, *recorded_posterior(record, task)
