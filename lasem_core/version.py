"""The generation of the numbers this code produces."""

GENERATIONS = {"none": 1, "hps": 1, "tf": 2, "df-cnn": 2}
"""Per base, raised by one whenever a change makes any existing specification produce other numbers (another order of
random draws, another summation order, a corrected formula). It is part of every run id: records of an older
generation stay readable and are marked stale, and nothing is mixed with them silently. A change that leaves all
numbers bit for bit as they were does not raise it.

2: filters of TF and DF-CNN as plain matrix products, which round otherwise than the einsum before them."""

PRUNING = {"refreshed": 1}
"""What a rule of `em.prune` adds to the generation of its runs, for a change that touches no others.

1: the M-step of a look at the whole space takes the kept configurations, as all others of the window do."""


def generation(base: str, prune: str) -> int:
    """The generation of runs with this base and this rule of pruning; KeyError for a base that is unknown."""
    return GENERATIONS[base] + PRUNING.get(prune, 0)
