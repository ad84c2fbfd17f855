"""Write the reference copies in tests/notebooks: every notebook, executed at profile smoke.

    .venv/bin/python tests/make_references.py [NAME...]

Those at profile `recorded` are the executed notebooks in outputs/notebooks: `lasem reproduce all` writes them.
Pictures and the explorer's pages are dropped: nbval does not compare them, and they would weigh megabytes.
"""

import os
import sys
from pathlib import Path

import nbformat

from lasem_core import LasemError

PAGE = '<div class="lasem-explorer">'
ROOT = Path(__file__).parents[1]
os.environ |= {"LASEM_OUTPUTS": ".cache/outputs", "LASEM_PROGRESS": "none", "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1"}


def main(names: list[str]) -> int:
    from lasem_core.views.parameters import Options
    from lasem_core.views.reproduce import execute, notebook_files, notebooks_of, parameters

    os.chdir(ROOT)  # kernels start where this program is
    problems = 0
    for source in map(notebook_files().get, notebooks_of(names or ["all"])):
        target = ROOT / "tests" / "notebooks" / source.name
        problem = execute(source, target, parameters(source, Options(profile="smoke")))
        problems += bool(problem)
        nbformat.write(comparable(nbformat.read(target, 4)), target)
        print(source.stem, problem or "done", flush=True)
    return problems


def comparable(notebook):
    """Without pictures; words that follow from trained numbers are not compared."""
    for cell in notebook.cells:
        if "findings." in cell.source or "varies" in cell.metadata.get("tags", []):
            cell.metadata["tags"] = ["nbval-ignore-output"]
        for output in cell.get("outputs", []):
            for kind in [kind for kind in output.get("data", {}) if kind.startswith("image/")]:
                del output["data"][kind]
                output["metadata"] = {}
            if PAGE in output.get("data", {}).get("text/html", ""):
                output["data"]["text/html"] = PAGE
    return notebook


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LasemError as error:
        sys.exit(str(error))
