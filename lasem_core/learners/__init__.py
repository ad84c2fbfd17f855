"""Lifelong learners: one file per method, one protocol (`base.py`)."""

from lasem_core.learners.base import Environment, EpochReport, Learner, TaskContext
from lasem_core.learners.fixed_posterior import FixedPosterior
from lasem_core.learners.lasem import Lasem
from lasem_core.learners.single_task import SingleTask
from lasem_core.learners.static import Static

METHODS: dict[str, type[Learner]] = {
    "lasem": Lasem,
    "static": Static,
    "single-task": SingleTask,
    "fixed-posterior": FixedPosterior,
}

__all__ = ["METHODS", "Environment", "EpochReport", "Learner", "TaskContext"]
