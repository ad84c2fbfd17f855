"""Where the repository keeps what it makes, wherever Jupyter, papermill or a shell stands."""

from __future__ import annotations

import os
from pathlib import Path

STORE = "outputs/runs"  # the run records


def in_repository(path: str | Path) -> Path:
    """`path` below the repository that this package belongs to; below the working directory where the package was
    installed without its repository.

    The environment's LASEM_OUTPUTS takes the place of the folder `outputs`: tests keep theirs apart.
    """
    elsewhere = os.environ.get("LASEM_OUTPUTS")
    if elsewhere and Path(path).parts[:1] == ("outputs",):
        path = Path(elsewhere, *Path(path).parts[1:])
    root = Path(__file__).parents[2]
    return (root if (root / "pyproject.toml").is_file() else Path.cwd()) / path
