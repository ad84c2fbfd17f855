"""What the explorer's page holds: every run with its history, small enough to travel with the page.

base64( deflate( length of the header, 4 bytes | header, JSON | bytes ) )

Probabilities are bytes, 255 for 1; `page/data.js` reads them where the header's `at` points. A task keeps at most
`EPOCHS` epochs, evenly spaced, and every last switch; of the first mini-batches `STEPS`, evenly spaced on a log axis;
of more than `NAMES` configurations those that matter. A curve is written in one piece, each byte the step from the one
before: small steps are what `deflate` makes most of.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student

from lasem_core.learners.priors import PRIORS
from lasem_core.runs.record import RunRecord, plain
from lasem_core.spec.command_line import unusual
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views.one_run import describe
from lasem_core.views.planted import PLANTED
from lasem_core.views.replay import LIKELIHOODS, last_switch, recover_log_likelihoods, replay, rescale, wins
from lasem_core.views.words import BASE_NAMES, DATASET_NAMES, METHOD_NAMES, spread

EPOCHS, STEPS, NAMES = 40, 20, 16
MOST_REPLAYED = 64  # configurations
RULES = tuple(product(LIKELIHOODS, PRIORS))
RESULTS = ("final_accuracy", "peak_at_best_valid", "peak_test", "forgetting_ratio")
SAID = ("config", "stream.relatedness", "stream.n_tasks", "schedule.epochs")  # in columns of their own


def pack(records: Iterable[RunRecord]) -> tuple[str, str]:
    """The page's data of `records`, planted tasks and methods that choose first; and the id of the first run."""
    runs = sorted(map(_Run, records), key=_Run.place)
    _replay(runs)
    blob = bytearray()
    rows = [run.row() | run.write(blob) for run in runs]
    for name in ("family", "ground"):
        numbers = {key: number for number, key in enumerate(dict.fromkeys(row[name] for row in rows))}
        for row in rows:
            row[name] = numbers[row[name]]
    quantiles = student.ppf(0.975, range(1, max(len(rows), 2))).round(4).tolist()
    header = plain({"runs": rows, "rules": RULES, "t": quantiles, "epochs": EPOCHS, "steps": STEPS})
    text = json.dumps(header, separators=(",", ":")).encode()
    deflate = zlib.compressobj(9, strategy=zlib.Z_FILTERED)  # for values that are steps: 3 % less
    packed = deflate.compress(len(text).to_bytes(4, "little") + text + blob) + deflate.flush()
    return base64.b64encode(packed).decode(), rows[0]["id"]


def sentence(record: RunRecord) -> str:
    """What a picture of the run shows, for those who do not see it."""
    chosen = f"configuration by task {', '.join(record.configs)}" if record.configs else "no transfer configurations"
    answer = f"; planted answer {planted}" if (planted := _planted(record.spec)) else ""
    accuracy = spread(100 * record.summary["final_accuracy"])
    return f"{describe(record)}: {chosen}{answer}; accuracy after the last task (%): {accuracy}"


def ground(spec: RunSpec) -> list[Any]:
    """What runs have to have in common for their accuracies to be ranked."""
    learning = [spec.base, spec.profile, spec.schedule.epochs, spec.model.channels, spec.model.network]
    return [spec.dataset, *learning, spec.stream.model_dump(mode="json"), spec.optim.model_dump(mode="json")]


def _planted(spec: RunSpec) -> str:
    return PLANTED[spec.stream.relatedness][0] if spec.dataset == "planted" else ""


def _curves(shares: np.ndarray) -> bytes:
    """Shares (N, C) as C curves of N bytes, each byte the step from the one before, modulo 256."""
    curves = np.rint(255 * np.clip(np.nan_to_num(shares), 0, 1)).astype(np.uint8).T
    return np.diff(curves, axis=1, prepend=np.uint8(0)).tobytes()


@dataclass
class _Run:
    """One record on its way to the page; tasks are counted in the order in which they were trained.

    Attributes:
        names: of axis C.
        steps: (T, N, C) posterior over the first mini-batches; N is 0 where none was recorded.
        beliefs: by rule, (T, N, C), the belief replayed under it.
    """

    record: RunRecord
    names: list[str] = field(default_factory=list)
    steps: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    epochs: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0)))
    beliefs: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)

    def __post_init__(self):
        record = self.record
        self.unusual = unusual(record.spec)
        self.chose = bool(record.configs) and record.spec.method != "static" and "transfer_1" in record.history
        if self.chose:
            visits = _visits(record)
            history = _of_visits(record.history, visits)
            self.history = history[history["epoch"] > 0].sort_values(["visit", "epoch"], kind="stable")
            self._unfold(_of_visits(record.posterior, visits), len(visits))

    def _unfold(self, table: pd.DataFrame, tasks: int) -> None:
        """Dense tables from the long one; what it does not list has no mass."""
        codes, names = pd.factorize(table["config"])
        step, epoch, task = (table[name].to_numpy() for name in ("step", "epoch", "visit"))
        first, mass = step >= 0, table["mass"].to_numpy(float)
        self.names, self.steps = list(names), np.zeros((tasks, step.max() + 1, len(names)))
        self.steps[task[first], step[first], codes[first]] = mass[first]
        self.epochs = np.zeros((tasks, self.history["epoch"].max(), len(names)))
        self.epochs[task[~first], epoch[~first] - 1, codes[~first]] = mass[~first]
        self.per_epoch = int((first & (task == 0) & (epoch == 1) & (codes == codes[0])).sum())

    def place(self) -> tuple:
        """Data whose answer is known first, then the paper's; what chooses, then what it is compared with."""
        spec, methods = self.record.spec, (*METHOD_NAMES, self.record.spec.method)
        switches = sorted(f"{name}={value}" for name, value in self.unusual.items())
        return (("planted", *DATASET_NAMES).index(spec.dataset), spec.stream.relatedness, methods.index(spec.method),
                spec.base != "hps", spec.base, spec.preset, -spec.stream.n_tasks, spec.config or "",
                len(switches), switches, spec.seed)  # fmt: skip

    @property
    def replayable(self) -> bool:
        spec = self.record.spec
        em = spec.em  # what the replay does not know of:
        altered = em.forget or em.temper or em.start or em.revisit != "fixed"
        known = self.chose and spec.method == "lasem" and spec.em.prior in PRIORS and not altered
        return known and self.steps.size > 0 and "rest" not in self.names and len(self.names) <= MOST_REPLAYED

    def row(self) -> dict[str, Any]:
        """What the table of runs says, and what the run is compared with."""
        record, spec = self.record, self.record.spec
        static, order = spec.method == "static", _order(record)
        said = SAID if static else SAID[1:]  # a fixed posterior has a configuration, too
        others = {name: value for name, value in self.unusual.items() if name not in said}
        identity = spec.model_dump(mode="json") | {"seed": None}
        bits = (spec.config or "1" * spec.model.depth) if static else ""
        return {
            "id": record.run_id,
            "data": record.summary.get("data_title", DATASET_NAMES[spec.dataset]),
            "method": "static" if static else METHOD_NAMES.get(spec.method, spec.method),
            "base": BASE_NAMES[spec.base],
            "preset": spec.preset,
            "profile": spec.profile,
            "seed": spec.seed,
            "others": ", ".join(f"{name}={value}" for name, value in others.items()),
            "stale": record.stale,
            "tasks": len(order),
            "epochs": spec.schedule.epochs,
            "depth": spec.model.depth,
            "configs": [record.configs[n] for n in order] if record.configs else [bits] * len(order) * static,
            "planted": _planted(spec),
            "bits": bits,
            "family": json.dumps(identity, sort_keys=True),
            "ground": json.dumps(ground(spec)),
            "results": [_round(record.summary.get(name)) for name in RESULTS],
            "accuracy": _last_accuracies(record, order),
        }

    def write(self, blob: bytearray) -> dict[str, Any]:
        """Append the history to `blob`; returns how to read it."""
        if not self.chose:
            return {}
        tasks, history = len(self.epochs), self.history
        configs = history["config"].to_numpy(str).reshape(tasks, -1)  # (T, E)
        transfer = history.filter(regex="^transfer_").to_numpy(float).reshape(*configs.shape, -1)  # (T, E, d)
        switches, used = [_last_change(chosen) for chosen in configs], sorted(set(configs.flat))
        shown, n = _shown(configs.shape[1], switches), self.steps.shape[1]
        steps = np.unique(np.geomspace(1, n, STEPS).astype(int)) if n else np.zeros(0, int)
        named, rules, at = self._leading(), list(self.beliefs), len(blob)
        for task in range(tasks):
            blob += _curves(transfer[task, shown - 1])  # (d, E)
            blob += bytes(map(used.index, configs[task, shown - 1]))  # (E,)
            blob += _curves(self.steps[task][np.ix_(steps - 1, named)])  # (C, S)
            blob += _curves(self.epochs[task][np.ix_(shown - 1, named)])  # (C, E)
            for rule in rules:
                blob += _curves(self.beliefs[rule][task][np.ix_(steps - 1, named)])  # (C, S)
        own = (self.record.spec.em.likelihood, self.record.spec.em.prior)
        return {
            "at": at,
            "shown": shown,
            "steps": steps,
            "batches": self.per_epoch,
            "names": [self.names[c] for c in named],
            "used": used,
            "rule": RULES.index(own) if self.beliefs else -1,
            "rules": len(rules),
            "switches": switches,
            "replays": [[last_switch(self.beliefs[rule][task]) for rule in rules] for task in range(tasks)],
            "wins": [last_switch(wins(self.steps[task])) if n else -1 for task in range(tasks)],
        }

    def _leading(self) -> np.ndarray:
        """The configurations that are kept: those with most mass, under whichever rule."""
        weight = self.epochs.mean((0, 1))
        if self.steps.size:
            weight = weight + self.steps.mean((0, 1))
        for beliefs in self.beliefs.values():
            weight = np.maximum(weight, beliefs[:, -1].max(0))
        known = [c for c in np.argsort(-weight, kind="stable") if self.names[c] != "rest"]
        return np.array(known[:NAMES], dtype=int)


def _replay(runs: Sequence[_Run]) -> None:
    """Beliefs under every rule, of all runs with the same rule and shape at a time."""
    groups = defaultdict(list)
    for run in runs:
        if run.replayable:
            em, batch = run.record.spec.em, run.record.spec.optim.batch_size
            groups[em.likelihood, em.prior, em.prior_count, batch, run.steps.shape].append(run)
    for (likelihood, _, start, batch, _), group in groups.items():
        log_lik = recover_log_likelihoods(np.stack([run.steps for run in group]), group[0].record.spec)
        for rule in RULES:
            _, beliefs = replay(rescale(log_lik, likelihood, rule[0], batch), rule[1], start)
            for run, belief in zip(group, beliefs, strict=True):
                run.beliefs[rule] = belief


def _visits(record: RunRecord) -> list[int]:
    """By task, in the order of their first visits, the visit that the page shows: the last one that searched."""
    tasks = record.history.groupby("position")["task"].first()
    searched = {} if tasks.is_unique else record.posterior.groupby("position")["config"].nunique().to_dict()
    shown: dict[int, int] = {}
    for position, task in tasks.items():
        if task not in shown or searched.get(position, 0) > 1:
            shown[task] = position
    return list(shown.values())


def _of_visits(table: pd.DataFrame, visits: Sequence[int]) -> pd.DataFrame:
    """The rows of `visits`, with the number of their task in the column `visit`."""
    table = table[table["position"].isin(visits)]
    return table.assign(visit=table["position"].map({position: task for task, position in enumerate(visits)}))


def _shown(epochs: int, switches: Sequence[int]) -> np.ndarray:
    """The epochs that are kept, counted from 1."""
    switches = sorted(set(switches))[-EPOCHS // 2 :]
    even = np.rint(np.linspace(1, epochs, min(epochs, EPOCHS - len(switches) if epochs > EPOCHS else epochs)))
    return np.unique([*even.astype(int), *switches])


def _last_change(configs: Sequence[str]) -> int:
    """The last epoch, counted from 1, that ends in another configuration than the one before."""
    return max((n for n in range(1, len(configs)) if configs[n] != configs[n - 1]), default=0) + 1


def _order(record: RunRecord) -> list[int]:
    """The numbers of the tasks in the order of their first visits; a stream may leave tasks out. Not from the history,
    which is decoded only for runs that chose."""
    table = record.accuracy
    return list(dict.fromkeys(table["task"].to_numpy()[(table["when"] == "after").to_numpy()].tolist()))


def _last_accuracies(record: RunRecord, order: Sequence[int]) -> list[float]:
    """Test accuracy of every task after the last one, in `order`."""
    when, position, task, value = (
        record.accuracy[name].to_numpy() for name in ("when", "position", "task", "test_accuracy")
    )
    last = (when == "after") & (position == position.max())
    by_task = dict(zip(task[last].tolist(), value[last].round(4).tolist(), strict=True))
    return [by_task[number] for number in order]


def _round(value: Any) -> float | None:
    return None if value is None else round(float(value), 5)
