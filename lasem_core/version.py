"""The generation of the numbers this code produces."""

GENERATIONS = {"none": 1, "hps": 1, "tf": 2, "df-cnn": 2}
"""Per base, raised by one whenever a change makes any existing specification produce other numbers (another order of
random draws, another summation order, a corrected formula). It is part of every run id: records of an older
generation stay readable and are marked stale, and nothing is mixed with them silently. A change that leaves all
numbers bit for bit as they were does not raise it.

2: filters of TF and DF-CNN as plain matrix products, which round otherwise than the einsum before them."""
