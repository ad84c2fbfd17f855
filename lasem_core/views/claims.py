"""The paper's orderings, artefact by artefact, as margins that are above 0 where the paper is right.

Margins (`margins`) are paired: one number per trial (seed), from runs that share their tasks.
"""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from lasem_core.views.evidence import TIMED, Evidence, layer_frequency
from lasem_core.views.margins import (
    FORGETTING,
    PEAK,
    best_of_own,
    best_restricted_over_all,
    between,
    by_seed,
    difference,
    known_with,
    negative,
    over,
    over_best_restricted,
    over_median_static,
    transferred,
)
from lasem_core.views.verdicts import Claim, judge_claims
from lasem_core.views.words import AS_RELEASED, BASE_NAMES

PAIR = ("cifar100", "office-home")
OFFICE = PAIR[1:]
CIFAR = ("cifar100",)  # where Office-Home's images are not at hand
BASES = {base: name for base, name in BASE_NAMES.items() if base != "none"}
SAME = 0.02  # two points of accuracy: the paper calls differences of up to 1.5 points the same (Table 3)

BEATS = "LASEM beats transfer at all layers"
RATIO, TIME, SHARE = "ratio", "seconds", "share"  # units of a margin that is not accuracy


def _beats_all(base: str, where: tuple[str, ...]) -> Claim:
    name = BASES[base]
    found = f"LASEM {name} is {{by}} transfer at all layers"
    return Claim(f"LASEM {name} beats all layers", where, over(base, "lasem", "all"), statement=BEATS, found=found)


# picking the best of seven restricted configurations: Bonferroni keeps the interval honest
_FIGURE1 = [
    Claim(
        f"{BASES[b]}: restricting transfer beats all layers", PAIR, best_restricted_over_all(b), 1 - 0.05 / 7,
        statement="restricting transfer beats transfer at all layers",
        found=f"the best restricted configuration of {BASES[b]} is {{by}} transfer at all layers",
    )
    for b in ("hps", "df-cnn")
]  # fmt: skip
_FIGURE1 += [
    Claim(
        "DF-CNN: alternating beats all layers", PAIR, over("df-cnn", "alternating", "all"),
        statement="DF-CNN: alternating layers beat transfer at all layers",
        found="alternating is {by} transfer at all layers",
    )
]  # fmt: skip
# the best of eight configurations, picked on each base
_FIGURE1 += [
    Claim(
        f"{BASES[b]}'s best static configuration beats {BASES[o]}'s on it", PAIR, best_of_own(b, o), 1 - 0.05 / 8,
        statement="the best configuration depends on how layers are shared",
        found=f"on {BASES[b]}, its own best configuration is {{by}} {BASES[o]}'s",
    )
    for b, o in (("hps", "df-cnn"), ("df-cnn", "hps"))
]  # fmt: skip

_FIGURE3 = [
    claim
    for b, name in BASES.items()
    for where in (PAIR if b == "hps" else (*PAIR, "stl10"),)
    for claim in (
        _beats_all(b, where),
        Claim(
            f"LASEM {name} is above the middle of the static range", where, over_median_static(b),
            statement="LASEM is toward the top of the range of static configurations (tested: above their median)",
            found=f"LASEM {name} is {{by}} the median static configuration",
        ),
        Claim(
            f"LASEM {name} forgets less than all layers", where, over(b, "lasem", "all", FORGETTING), unit=RATIO,
            statement="in most cases LASEM forgets less than transfer at all layers",
            found=f"LASEM {name}'s forgetting ratio is {{by}} that of transfer at all layers",
        ),
        Claim(
            f"LASEM {name} forgets less than the best static configuration", where,
            over_best_restricted(b, FORGETTING), unit=RATIO, where="Figure 7, Appendix B",
            statement="in most cases LASEM forgets less than the best static configuration",
            found=f"LASEM {name}'s forgetting ratio is {{by}} that of the best restricted configuration",
        ),
    )
]  # fmt: skip

_FIGURE4 = [
    Claim(
        "HPS prefers task-specific layers", PAIR, negative(transferred("hps")), unit=SHARE,
        statement="HPS prefers task-specific layers", found="HPS's share of task-specific layers is {by} one half",
    ),
    *(
        Claim(
            f"{BASES[b]} transfers more than HPS", PAIR, difference(transferred(b), transferred("hps")), unit=SHARE,
            statement="TF and DF-CNN transfer more layers than HPS",
            found=f"{BASES[b]}'s share of transferred layers is {{by}} HPS's",
        )
        for b in ("tf", "df-cnn")
    ),
    *(
        Claim(
            f"{BASES[b]} prefers to transfer higher layers", where, transferred(b, "upper over lower"), unit=SHARE,
            statement="upper layers are transferred more than lower ones (HPS: not on CIFAR-100)",
            found=f"{BASES[b]}'s share of transferred upper layers is {{by}} that of lower ones",
        )
        for b, where in (("hps", OFFICE), ("tf", PAIR), ("df-cnn", PAIR))
    ),
]  # fmt: skip

_OURS = ("df-cnn", "lasem")
_DARTS = {f"DARTS {BASES[b]}{way}": (b, f"darts{way}") for way in ("", AS_RELEASED) for b in ("df-cnn", "hps")}
_TABLE1 = [
    replace(claim, also=CIFAR)
    for claim in (
        *(
            Claim(
                f"LASEM DF-CNN beats {name}", OFFICE, between(_OURS, other),
                statement="LASEM DF-CNN is more accurate than DARTS and DEN", found=f"LASEM DF-CNN is {{by}} {name}",
            )
            for name, other in (*_DARTS.items(), ("DEN", ("none", "den")))
        ),
        *(
            Claim(
                f"LASEM DF-CNN is as accurate as {name}", OFFICE, between(_OURS, ("none", other)), within=SAME,
                statement="APD-Net, ProgNN and LASEM DF-CNN are equally accurate",
                found=f"LASEM DF-CNN is {{by}} {name}",
            )
            for name, other in (("APD-Net", "apd"), ("ProgNN", "progressive"))
        ),
        Claim(
            "ProgNN forgets less than APD-Net", OFFICE,
            between(("none", "progressive"), ("none", "apd"), FORGETTING), unit=RATIO,
            statement="ProgNN forgets less than APD-Net", found="ProgNN's forgetting ratio is {by} APD-Net's",
        ),
        Claim(
            "LASEM DF-CNN forgets less than APD-Net", OFFICE, between(_OURS, ("none", "apd"), FORGETTING), unit=RATIO,
            statement="LASEM DF-CNN forgets less than APD-Net",
            found="LASEM DF-CNN's forgetting ratio is {by} APD-Net's",
        ),
        Claim(
            "LASEM DF-CNN trains faster than ProgNN", OFFICE, between(("none", "progressive"), _OURS, TIMED),
            unit=TIME, statement="LASEM DF-CNN trains faster than ProgNN",
            found="ProgNN's training time is {by} LASEM DF-CNN's",
        ),
    )
]  # fmt: skip

_TABLE3 = [
    claim
    for b, name in BASES.items()
    for claim in (
        _beats_all(b, PAIR),
        Claim(
            f"brute force {name} is the same as LASEM", PAIR, over(b, "brute-force", "lasem"), within=SAME,
            statement="brute-force search is as accurate as LASEM", found=f"brute force {name} is {{by}} LASEM",
        ),
        Claim(
            f"brute force {name} takes 3 times LASEM's time in addition", PAIR,
            lambda runs, b=b: by_seed(runs, b, "brute-force", TIMED) - 4 * by_seed(runs, b, "lasem", TIMED),
            unit=TIME, statement="brute-force search takes at least three times LASEM's time in addition",
            found=f"brute force {name}'s time is {{by}} four times LASEM's",
        ),
    )
]  # fmt: skip

CLAIMS: dict[str, list[Claim]] = {
    "figure1": _FIGURE1,
    "figure3": _FIGURE3,
    "figure4": _FIGURE4,
    "figure5": [
        Claim(
            "knowing the configuration (P = 1) beats full LASEM", OFFICE,
            lambda runs: known_with(1)(runs) - by_seed(runs, "df-cnn", "lasem"), also=CIFAR,
            statement="knowing the configuration in advance (P = 1) improves on LASEM",
            found="P = 1 is {by} full LASEM",
        ),
        Claim(
            "wrong configurations interfere little (P = 0.5 is the same as P = 1)", OFFICE,
            difference(known_with(0.5), known_with(1)), within=SAME, also=CIFAR,
            statement="wrong configurations interfere little", found="P = 0.5 is {by} P = 1",
        ),
    ],
    "figure7": [claim for claim in _FIGURE3 if "forgets" in claim.text],
    "figure8": [claim for claim in _FIGURE4 if "higher" in claim.text],
    "table1": _TABLE1,
    "table3": _TABLE3,
    "appendix_c": _TABLE3,
    "appendix_e": [
        Claim(
            "group-wise LASEM is as accurate as all layers", ("stl10-group",),
            lambda runs: by_seed(runs[runs["groups"] != ""], "df-cnn", "lasem") - by_seed(runs, "df-cnn", "all"),
            within=SAME,
            statement="group-wise LASEM is as accurate as transfer at all layers",
            found="group-wise LASEM is {by} transfer at all layers",
        )
    ],
    "larger_images": [
        replace(_beats_all(base, where), also=("stl10", "caltech101"))
        for base, where in (("hps", ()), ("df-cnn", ("stl10",)))
    ],
}  # fmt: skip


def verdicts(evidence: Evidence, accuracy: str = PEAK) -> pd.DataFrame:
    """The paper's orderings for this artefact, judged by the evidence: by one of its accuracies, where it is one."""
    claims = CLAIMS.get(evidence.artefact, [])
    if evidence.artefact in ("figure4", "figure8"):
        return judge_claims(claims, layer_frequency(evidence.judged.choices))
    runs = evidence.judged.runs
    return judge_claims(claims, runs.assign(**{PEAK: runs[accuracy]}))
