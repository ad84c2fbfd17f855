"""Lifelong learners: one protocol (`protocol.py`), one file per method, pruning and sampling beside LASEM.

Must not know the disk or plotting; what becomes of a run is decided in `training.py` and `runs`.
"""

from lasem_core.learners.apd import Apd
from lasem_core.learners.brute_force import BruteForce
from lasem_core.learners.darts import Darts
from lasem_core.learners.den import Den
from lasem_core.learners.ewc import Ewc
from lasem_core.learners.fine_tune import FineTune
from lasem_core.learners.joint import Joint
from lasem_core.learners.lasem import Lasem
from lasem_core.learners.progressive import Progressive
from lasem_core.learners.protocol import Environment, EpochReport, Learner, TaskContext
from lasem_core.learners.static import FixedPosterior, SingleTask, Static

METHODS: dict[str, type[Learner]] = {
    "lasem": Lasem,
    "static": Static,
    "single-task": SingleTask,
    "fixed-posterior": FixedPosterior,
    "brute-force": BruteForce,
    "darts": Darts,
    "progressive": Progressive,
    "den": Den,
    "apd": Apd,
    "joint": Joint,
    "fine-tune": FineTune,
    "ewc": Ewc,
}

__all__ = ["METHODS", "Environment", "EpochReport", "Learner", "TaskContext"]
