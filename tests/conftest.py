"""Shared by all tests: quiet runs on one thread, one random database off."""

import os
import sys
from pathlib import Path

os.environ.setdefault("LASEM_PROGRESS", "none")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parent))  # tests may import each other's helpers

# under pytest alone, the shapes in the signatures of the algorithm are checked at every call
from jaxtyping import install_import_hook

_CHECKED = ("em", "model.network", "learners.sampling")
install_import_hook([f"lasem_core.{module}" for module in _CHECKED], "beartype.beartype")
