"""Made-up run records for the tests of views: known numbers, nothing trained."""

import numpy as np
import pandas as pd

from lasem_core.runs.record import RunRecord
from lasem_core.spec.run_spec import RunSpec


def record(run_id, peak=0.4, forgetting=0.9, configs=("0111", "0101", "0111"), title=None, seconds=10.0, **spec):
    """A record of three tasks and four epochs whose posterior settles on `configs`."""
    spec = RunSpec(**spec)
    chosen = list(configs) if spec.method in ("lasem", "brute-force", "darts") else []
    summary = {"peak_at_best_valid": peak, "peak_test": peak + 0.01, "final_accuracy": peak * forgetting}
    summary |= {"forgetting_ratio": forgetting, "configs": chosen, "data_title": title or spec.dataset}
    summary |= {"shared_bytes": 1000, "task_bytes_max": 500, "stored_bytes": 2500, "parameters": 625}
    measured = {
        "train_seconds": seconds,
        "eval_seconds": 1.0,
        "peak_rss_mb": 100.0,
        "other_cores": 0.0,
        "task_train_seconds": [4.0, 3.0, 3.0],
    }
    tables = {
        "history": history(configs),
        "posterior": posterior(configs, spec),
        "accuracy": accuracy(peak, forgetting),
    }
    return RunRecord(run_id, spec, "data", summary, measured, tables)


def history(configs, epochs=4):
    rows = []
    for position, config in enumerate(configs):
        for epoch in range(epochs + 1):
            row = {"position": position, "task": position, "epoch": epoch, "config": config if epoch else ""}
            row |= {"valid_accuracy": 0.1 * epoch, "test_accuracy": 0.1 * epoch}
            towards = [0.5 + (0.5 if bit == "1" else -0.5) * epoch / epochs for bit in config]
            row |= {f"transfer_{n}": p if epoch else np.nan for n, p in enumerate(towards, start=1)}
            rows.append(row)
    return pd.DataFrame(rows)


def posterior(configs, spec, steps=20):
    names = [str(config) for config in spec.space]
    rows = []
    for position, config in enumerate(configs):
        for step in (*range(steps), -1):
            mass = np.full(len(names), 0.2 / (len(names) - 1))
            mass[names.index(config)] = 0.8
            place = {"position": position, "task": position, "epoch": 1, "step": step}
            rows += [place | {"config": name, "mass": m} for name, m in zip(names, mass, strict=True)]
    return pd.DataFrame(rows).astype({"mass": "float16"})


def accuracy(peak, forgetting, tasks=3):
    rows = [
        {"position": now, "task": task, "when": "after", "test_accuracy": peak if task == now else peak * forgetting}
        for now in range(tasks)
        for task in range(now + 1)
    ]
    return pd.DataFrame(rows)
