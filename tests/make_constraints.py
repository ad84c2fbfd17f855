"""Write constraints.txt: the versions, in this environment, of everything that LASEM needs, directly or not.

    .venv/bin/python tests/make_constraints.py

Run it in the environment in which `make test` has passed.
"""

import platform
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
HEAD = "# What CI tested LASEM with, on Python {}: made by tests/make_constraints.py. Without it: make PINS=\n"


def main() -> int:
    pins = sorted(f"{name}=={version}" for name, version in installed(wanted()).items())
    (ROOT / "constraints.txt").write_text(HEAD.format(platform.python_version()) + "\n".join(pins) + "\n")
    return 0


def wanted():
    """The requirements of pyproject.toml, those of every extra included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    return [Requirement(line) for lines in lists for line in lines if not line.startswith("lasem")]


def installed(requirements):
    """Versions by name of `requirements` and of what they require; what this platform does not need is left out."""
    found, open_ = {}, list(requirements)
    seen = set()
    while open_:
        requirement = open_.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        try:
            package = distribution(requirement.name)
        except PackageNotFoundError:
            continue
        found[canonicalize_name(requirement.name)] = package.version.partition("+")[0]
        extras = requirement.extras or {""}
        lines = map(Requirement, package.requires or ())
        open_ += [r for r in lines if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in extras)]
    return found


if __name__ == "__main__":
    sys.exit(main())
