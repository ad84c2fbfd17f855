"""nbval over the notebooks: reference copies strictly, sources leniently; what they train is kept for next time.

A program of its own, not tests: nbval's collectors and pytest-xdist's order of execution do not go together with
the settings of the other tests.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LASEM = Path(sys.executable).with_name("lasem")
COMMON = ["-p", "no:cacheprovider", "-W", "default", "--timeout=0", "--nbval-current-env",
          "--nbval-kernel-name=python3", "-n", "2", "--dist", "loadfile"]  # fmt: skip
ENVIRONMENT = {
    "LASEM_OUTPUTS": ".cache/outputs",
    "MPLBACKEND": "agg",
    "LASEM_PROGRESS": "none",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}


def main() -> int:
    """The worst exit status of the two passes, over runs that are computed before them and kept."""
    subprocess.run([LASEM, "sweep", "all", "--profile", "smoke", "--store", ".cache/outputs/runs"], cwd=ROOT)
    strict = ["--nbval", f"--nbval-sanitize-with={ROOT / 'tests' / 'nbval.cfg'}", "tests/notebooks"]
    return max(_pytest(*strict), _pytest("--nbval-lax", "notebooks"))


def _pytest(*arguments: str) -> int:
    command = [sys.executable, "-m", "pytest", *COMMON, *arguments]
    return subprocess.run(command, cwd=ROOT, env=os.environ | ENVIRONMENT).returncode


if __name__ == "__main__":
    sys.exit(main())
