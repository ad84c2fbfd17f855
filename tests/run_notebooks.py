"""nbval over notebooks: what was trained at profile smoke, and what is recorded, the latter digit by digit.

A program of its own, not tests: nbval's collectors and pytest-xdist's order of execution do not go together with
the settings of the other tests.
"""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from warm_kernel import NAME, warm

from lasem_core.runs.store import RunStore

ROOT = Path(__file__).parents[1]
LASEM = Path(sys.executable).with_name("lasem")
PLUGINS = [f"-p{name}" for name in ("xdist.plugin", "nbval.plugin", "pytest_timeout", "no:cacheprovider")]
COMMON = [*PLUGINS, "-W", "default", "--timeout=0", "--nbval", f"--nbval-kernel-name={NAME}",
          "-n", "2", "--dist", "loadfile"]  # fmt: skip
ENVIRONMENT = {
    "MPLBACKEND": "agg",
    "LASEM_PROGRESS": "none",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # hypothesis and jaxtyping have nothing to do here
}
SMOKE, RECORDED = ".cache/outputs", ".cache/recorded"
NO_KERNEL = "Kernel died before replying"


def main() -> int:
    """The worst exit status of the passes."""
    train_smoke()
    with kernels():
        return max(smoke(), compared(recorded()), figures())


@contextmanager
def kernels():
    """What nbval needs in the environment: its kernels come from one process, for both passes."""
    with warm({**os.environ, **ENVIRONMENT}) as environment, patch.dict(os.environ, environment):
        yield


def train_smoke() -> None:
    """What is trained is kept for next time."""
    subprocess.run([LASEM, "sweep", "all", "--profile", "smoke", "--store", f"{SMOKE}/runs"], cwd=ROOT)


def smoke() -> int:
    """The copies in tests/notebooks, trained numbers masked: they differ between processors."""
    return _nbval(SMOKE, f"--nbval-sanitize-with={ROOT / 'tests' / 'nbval.cfg'}", "tests/notebooks")


def recorded() -> list[Path]:
    """The executed notebooks in outputs/ that train nothing."""
    import nbformat

    from lasem_core.views.reproduce import declared_parameters, notebook_files

    files = notebook_files(ROOT / "outputs" / "notebooks")
    declared = {path: declared_parameters(nbformat.read(path, 4)) for path in files.values()}
    return [path for path, names in declared.items() if "profile" in names or "epochs" not in names]


def compared(paths: list[Path], outputs: str = RECORDED) -> int:
    """Nothing is masked: whatever the committed records print, they print everywhere."""
    committed_records(ROOT / outputs)
    return _nbval(outputs, *map(str, paths))


def committed_records(outputs: Path) -> RunStore:
    """A store of the records in git and no others: somebody's own runs do not belong to the evidence."""
    shutil.rmtree(outputs, ignore_errors=True)
    names = subprocess.run(["git", "ls-files", "outputs/runs"], cwd=ROOT, capture_output=True, text=True).stdout
    for name in names.splitlines():
        link = outputs / Path(name).relative_to("outputs")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(ROOT / name)
    return RunStore(outputs / "runs")


def figures(made: Path = ROOT / RECORDED / "figures", kept: Path = ROOT / "outputs" / "figures") -> int:
    """The numbers behind the pictures in `kept` are those that the notebooks have just `made`."""
    import pandas as pd

    wrong = 0
    for path in sorted(made.glob("*.csv")):
        try:
            pd.testing.assert_frame_equal(pd.read_csv(path), pd.read_csv(kept / path.name), rtol=1e-6)
        except (AssertionError, FileNotFoundError) as problem:
            wrong += 1
            print(f"outputs/figures/{path.name} is not what the records give: {problem}; run: lasem reproduce all")
    return min(wrong, 1)


def _nbval(outputs: str, *arguments: str, tries: int = 2) -> int:
    """Once more if a kernel never started: two that start at the same moment may choose the same port."""
    command = [sys.executable, "-m", "pytest", *COMMON, *arguments]
    died = False
    env = {**os.environ, **ENVIRONMENT, "LASEM_OUTPUTS": outputs}
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            died |= NO_KERNEL in line
    again = process.returncode and died and tries > 1
    return _nbval(outputs, *arguments, tries=tries - 1) if again else process.returncode


if __name__ == "__main__":
    sys.exit(main())
