"""What a notebook found, in words: one sentence on its top, one paragraph at its end. Computed, never written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from IPython.display import display

from lasem_core.common.duration import spell
from lasem_core.common.statistics import EQUIVALENT, MIN_TRIALS, UNDECIDED
from lasem_core.views import choice, claims, methods, networks, pairs, planted, tables, visits
from lasem_core.views.claims import RATIO, SHARE, TIME
from lasem_core.views.evidence import Evidence
from lasem_core.views.replay import last_switch, recorded_posterior, wins
from lasem_core.views.verdicts import NOT_REPRODUCED, ON_A_STAND_IN, REPRODUCED
from lasem_core.views.words import BASE_NAMES, DATASET_NAMES, joined, run_name, spread

UNAVAILABLE = "office-home"  # its images may not be handed on


def headline(evidence: Evidence) -> None:
    """Show the finding in one sentence, and what is missing."""
    say(f"**{sentence(evidence)}** {missing(evidence)}")


def conclusion(evidence: Evidence) -> None:
    """Show what the paper says, what was found, how sure that is, and what would change it."""
    say(paragraph(evidence))


def say(text: str) -> None:
    """Show a paragraph: as Markdown, and as text where there is no browser."""
    display({"text/markdown": text, "text/plain": text}, raw=True)


def sentence(evidence: Evidence) -> str:
    """The finding of an artefact; what was judged first comes first."""
    if not evidence.judged.records:
        return "Nothing is recorded here yet."
    if evidence.artefact in FINDINGS:
        return FINDINGS[evidence.artefact](evidence)
    judged = claims.verdicts(evidence)
    judged = judged[judged["n"] > 0]
    if judged.empty:
        return "What is recorded decides nothing that the paper says."
    return _sentence(found(judged.loc[judged["n"].idxmax()]))


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + "."


def missing(evidence: Evidence) -> str:
    """`75 of 81 runs are missing (estimated time: about 20 h).`"""
    n = len(evidence.missing)
    if not n:
        return f"All {len(evidence.specs)} runs are recorded."
    return f"{n} of {len(evidence.specs)} runs are missing (estimated time: {evidence.duration(evidence.missing)})."


def found(row: pd.Series) -> str:
    """One row of `claims.verdicts`: `LASEM HPS is 3.5 points above transfer at all layers on CIFAR-100 (...)`."""
    words = row["found"].format(by=by(row["margin"], row["margin_ci"], row["unit"]))
    return f"{words} on {DATASET_NAMES[row['dataset']]} (profile {row['profile']}, n = {row['n']}): {row['verdict']}"


def by(margin: float, half: float, unit: str) -> str:
    """`3.5 ± 1.2 points above`."""
    spelled = {
        RATIO: lambda value: f"{value:.2f}",
        TIME: spell,
        SHARE: lambda value: f"{100 * value:.0f}",
    }.get(unit, lambda value: f"{100 * value:.1f}")
    interval = f" ± {spelled(half)}" if np.isfinite(half) else ""
    name = {"points": " points", SHARE: " percentage points"}.get(unit, "")
    return f"{spelled(abs(margin))}{interval}{name} {'above' if margin >= 0 else 'below'}"


def paragraph(evidence: Evidence) -> str:
    """The four questions a reader has, answered from the verdicts."""
    judged = claims.verdicts(evidence)
    tried = judged[judged["n"] > 0]
    parts = [_statement(group) for _, group in tried.groupby("statement", sort=False)]
    idle = [word for word in dict.fromkeys(judged["statement"]) if word not in set(tried["statement"])]
    parts += [f"*The paper {'also ' * bool(parts)}says (not tested here):* {'; '.join(idle)}."] if idle else []
    sure = f"*How sure?* {_certainty(evidence, judged)}", f"*What would change it?* {_next(evidence)}"
    return " ".join([*(parts or [sentence(evidence)]), *sure])


def _statement(tried: pd.DataFrame) -> str:
    """What the paper says, and how it fared in the comparisons that were made."""
    says = f"*The paper says:* {tried['statement'].iloc[0]}."
    agree = int((tried["margin"] > 0).sum())
    counts, decided = tried["verdict"].value_counts(), (REPRODUCED, NOT_REPRODUCED)
    named = (*decided, *(word + ON_A_STAND_IN for word in decided), UNDECIDED)
    words = joined([f"{counts[word]} {word.replace(',', '')}" for word in named if word in counts])
    first = found(tried.iloc[0]).rpartition(":")[0]
    directed = len(tried) > 1 and not tried["same"].any()  # equality has no direction
    rest = f"; {agree} of {len(tried)} comparisons point the paper's way" if directed else ""
    return f"{says} *Here:* {first}{rest}; {words}."


def _certainty(evidence: Evidence, judged: pd.DataFrame) -> str:
    n = int(judged["n"].max()) if len(judged) else evidence.runs.groupby(["base", "label"])["seed"].nunique().max()
    if not evidence.judged.records:
        return "Not at all: no run that counts is recorded."
    if n == 0:
        return "Not at all: no comparison has both of its sides recorded."
    if n == 1:
        return "Not very: with one trial there is no interval, and another seed may give another order."
    few = "" if n >= MIN_TRIALS else f"; fewer than {MIN_TRIALS} decide nothing"
    return f"At most {n:.0f} trials per comparison; intervals are t-intervals over trials{few}."


def _next(evidence: Evidence) -> str:
    """The runs that are missing, and the images that are."""
    if not evidence.missing:
        return 'More trials; for the paper\'s experiments also the full schedule (`profile = "paper"`).'
    here = [spec for spec in evidence.missing if spec.dataset != UNAVAILABLE]
    away = len(evidence.missing) - len(here)
    runs = [f"{len(here)} more runs ({evidence.duration(here)})"] if here else []
    runs += [f"{away} {'runs ' if not here else ''}on Office-Home, whose images were not available"] if away else []
    return f"{joined(runs)}; `lasem sweep {evidence.artefact} --profile {evidence.missing[0].profile}` trains them."


def _of_methods(evidence: Evidence) -> str:
    table = methods.method_table(evidence.records).set_index("method")["final (%)"]
    best, ours = table.idxmax(), table.filter(like="LASEM")
    there = f", {ours.idxmax()} {ours.max():.1f} %" if len(ours) and ours.idxmax() != best else ""
    return f"After the last task {best} is most accurate with {table.max():.1f} %{there} (one trial: no ranking)."


def _of_quickstart(evidence: Evidence) -> str:
    record = evidence.records[0]
    chosen = joined([f"{config} for task {task}" for task, config in enumerate(record.configs, start=1)][1:])
    runs = evidence.runs.drop_duplicates("label")
    reached = [
        f"{100 * run.final_accuracy:.1f} % with {run_name(run.method, run.label, run.base)}"
        for run in runs.itertuples()
    ]
    truth = planted.PLANTED[record.spec.stream.relatedness][0]
    return f"LASEM chose {chosen}; planted is {truth}. Accuracy after the last task: {joined(reached)} (n = 1)."


def _of_planted(evidence: Evidence) -> str:
    trials = choice.by_trial(evidence.records)
    ours = trials[trials["variant"] == choice.PAPER].dropna(subset=["regret"])
    words = [f"{BASE_NAMES[base]} {spread(100 * rows['regret'])}" for base, rows in ours.groupby("base", sort=False)]
    if not words:
        return "No trial has every static configuration of the four kinds of tasks: LASEM's regret is unknown."
    return (
        f"LASEM's regret against a search on validation data, in points, four kinds of tasks averaged: {joined(words)}."
    )


def _of_speed(evidence: Evidence) -> str:
    table = pairs.verdict_table(pairs.pairs_of(evidence.records))
    row, alone = table.iloc[0], table[table["base"] != "all"]["verdict"]
    return (
        f"Pruned minus exact EM, peak accuracy at best validation: {row['difference (points, 90 % interval)']} points "
        f"over all bases (n = {row['n']}): {row['verdict']}. Base by base, of {len(alone)} accuracies "
        f"{(alone == EQUIVALENT).sum()} are equivalent."
    )


def _of_dynamics(evidence: Evidence) -> str:
    first = [r for r in evidence.records if r.spec.em.prior == "count" and r.spec.em.likelihood == "joint"]
    last = [last_switch(wins(recorded_posterior(record, task)[1])) for record in first for task in (1,)]
    return f"Under the paper's switches task 2's choice last changes at mini-batch {spread(np.array(last), 0)}."


def _of_memory(evidence: Evidence) -> str:
    return f"LASEM's memory relative to transfer at all layers: {tables.memory_ratios(evidence)}."


FINDINGS: dict[str, Callable[[Evidence], str]] = {
    "quickstart": _of_quickstart,
    "methods": _of_methods,
    "planted": _of_planted,
    "choice": choice.sentence,
    "networks": networks.sentence,
    "visits": visits.sentence,
    "speed": _of_speed,
    "dynamics": _of_dynamics,
    "appendix_f": _of_memory,
}
