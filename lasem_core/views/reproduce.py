"""From nothing to executed notebooks: sweep what is missing, run each notebook, collect a report.

reproduce
├── sweep.run_sweep            the runs that the artefacts need and the store does not hold
├── execute ── papermill       one notebook each, two at a time; up-to-date ones are left alone
└── report                     outputs/report.html, readable offline
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from lasem_core.common.disk import require_writable
from lasem_core.common.errors import LasemError
from lasem_core.common.repository import in_repository
from lasem_core.runs.artefacts import ARTEFACTS
from lasem_core.runs.pace import expected
from lasem_core.runs.progress import is_silent
from lasem_core.runs.record import canonical
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views.costs import BENCH
from lasem_core.views.gather import planned, stored
from lasem_core.views.parameters import Options, literals, open_store

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
SHOWN_IN = {"appendix_c": "table3"}  # artefacts without a notebook of their own
DRAWN_FROM = dict.fromkeys(("explorer", "reproduction"), "figure3")  # show the whole store, which this has to be in
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
AT_ONCE = 2


@dataclass(frozen=True)
class Outcome:
    """What became of one notebook; `problem` is the last line of its error."""

    name: str
    path: Path
    executed: bool
    problem: str = ""


@dataclass(frozen=True)
class Reproduction:
    """What became of all: a notebook can be executed although runs that it shows have failed."""

    notebooks: list[Outcome]
    failed_runs: list[tuple[RunSpec, str]]  # with the one-line cause

    @property
    def failed(self) -> list[Outcome]:
        """The notebooks that came to no end."""
        return [outcome for outcome in self.notebooks if outcome.problem]


def reproduce(
    artefacts: Sequence[str],
    options: Options,
    jobs: int | None = None,
    say: Callable[[str], None] = print,
) -> Reproduction:
    """Bring runs, notebooks, figures and the report up to date, whatever fails meanwhile.

    Arguments:
        artefacts: names of artefacts or notebooks, or `all`.
        options: profile, data set, folders; `options.train_missing` False uses stored records only.
        jobs: runs at a time; None: one per core.
        say: where progress goes.
    """
    names = notebooks_of(artefacts)
    options = options.model_copy(update={"store": portable(options.store), "out": portable(options.out)})
    out, store = in_repository(options.out), open_store(options.store)
    folder = out / "notebooks"
    require_writable(folder)
    if store.root.exists() and not store.root.is_dir():
        raise LasemError(f"the store {store.root} is not a folder; name the one with the records")
    failed_runs = _train(names, options, jobs, say) if options.trains else []
    with _environment(options.data), ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = _results(pool, [pool.submit(bring_up_to_date, name, options, folder, say) for name in names])
    if any(outcome.executed for outcome in outcomes) or not (out / "report.html").exists():
        report(folder, out / "report.html")
    return Reproduction(outcomes, failed_runs)


def _results(pool: ThreadPoolExecutor, begun: Sequence[Future[Outcome]]) -> list[Outcome]:
    """What was `begun`; Ctrl-C is for the notebooks that have not begun, too."""
    try:
        return [future.result() for future in begun]
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise


def notebook_files(folder: Path | None = None) -> dict[str, Path]:
    """The notebooks in `folder` (None: the sources) by name, in reading order: `figure4` is `14_figure4.ipynb`."""
    paths = sorted((folder or NOTEBOOKS).glob("[0-9][0-9]_*.ipynb"))
    return {path.stem.partition("_")[2]: path for path in paths}


def notebooks_of(artefacts: Sequence[str]) -> list[str]:
    """The notebooks that show `artefacts`, in reading order."""
    there = list(notebook_files())
    known = {*there, *ARTEFACTS, *SHOWN_IN, "all"}
    for name in artefacts:
        if name not in known:
            raise LasemError(f"unknown artefact '{name}'; choose from: {', '.join(['all', *there])}")
    wanted = {SHOWN_IN.get(name, name) for name in artefacts}
    return there if "all" in wanted else [name for name in there if name in wanted]


def _train(
    names: Sequence[str], options: Options, jobs: int | None, say: Callable[[str], None]
) -> list[tuple[RunSpec, str]]:
    """The runs that failed."""
    from lasem_core.runs.sweep import run_sweep

    if not (specs := _specs(names, options)):
        return []
    swept = run_sweep(specs, open_store(options.store), options.data or None, jobs, progress=not is_silent())
    say(str(swept))
    return swept.failed


def _specs(names: Sequence[str], options: Options) -> list[Any]:
    artefacts = [DRAWN_FROM.get(name, name) for name in names]
    return planned([name for name in artefacts if name in ARTEFACTS], options)


def bring_up_to_date(name: str, options: Options, folder: Path, say: Callable[[str], None]) -> Outcome:
    """Execute one notebook unless its copy in `folder` shows the same code, parameters and records."""
    source = notebook_files()[name]
    target = folder / source.name
    given = parameters(source, options)
    key = _key(source, given, name, options)
    if _stored_key(target) == key:
        say(f"{name}: up to date")
        return Outcome(name, target, False)
    attempt = folder / f"failed_{source.name}"  # what a failing notebook leaves takes no evidence's place
    problem = execute(source, attempt, given)
    if not problem:
        _stamp(attempt, key)
        attempt.replace(target)
    say(f"{name}: {problem or 'done'}")
    return Outcome(name, attempt if problem else target, True, problem)


def parameters(source: Path, options: Options) -> dict[str, Any]:
    """Where `options` differ from what a notebook's parameters cell says; `data` goes by the environment.

    Notebooks that are not views of the shared runs (they have no `train_missing`) are told folders, and to smoke.
    """
    declared = declared_parameters(nbformat.read(source, 4))
    given = options.model_dump(mode="json", exclude={"data"})
    if "train_missing" not in declared:
        told = {"store", "out"} | ({"profile"} if options.profile == "smoke" else set())
        given = {key: value for key, value in given.items() if key in told}
    names = set(given) & set(declared)
    usual = Options.check(**{name: declared[name] for name in names}).model_dump(mode="json")
    return {name: given[name] for name in given if name in names and given[name] != usual[name]}


def declared_parameters(notebook: NotebookNode) -> dict[str, Any]:
    """Names and default values of the cell tagged `parameters`."""
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            return literals(cell.source)
    return {}


def execute(source: Path, target: Path, given: dict[str, Any]) -> str:
    """Run a notebook with papermill; returns the last line of its error, empty if there was none."""
    import papermill
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    problem = ""
    try:
        papermill.execute_notebook(
            source, target, given, kernel_name="python3", progress_bar=False, start_timeout=300,
            extra_arguments=["--IPKernelApp.log_level=50"],
        )  # fmt: skip
    except PapermillExecutionError as error:
        problem = f"cell {error.exec_count}: {error.ename}: {error.evalue}"
    except DeadKernelError:
        problem = "its kernel died, perhaps for want of memory"
    nbformat.write(strip(nbformat.read(target, 4)), target)
    return problem


def strip(notebook: NotebookNode) -> NotebookNode:
    """Remove what differs between identical runs, and views whose state no reader without a kernel has."""
    for key in ("papermill", "widgets"):
        notebook.metadata.pop(key, None)
    for cell in notebook.cells:
        cell.source = cell.source.rstrip("\n")  # papermill ends its own cell with one
        for key in ("papermill", "execution"):
            cell.metadata.pop(key, None)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
    return notebook


def _key(source: Path, given: dict[str, Any], name: str, options: Options) -> str:
    digest = hashlib.sha256(source.read_bytes())
    for path in sorted(p for p in Path(__file__).parents[1].rglob("*") if p.suffix in (".py", ".js", ".css")):
        digest.update(path.read_bytes())
    artefact = DRAWN_FROM.get(name, name)
    digest.update(canonical(given))
    if artefact in ARTEFACTS:
        evidence = stored(artefact, options)
        found = [[record.run_id, record.summary, record.measured] for record in evidence.judged.records]
        left = [expected([spec], evidence.pace) for spec in evidence.missing]  # it says how long they would take
        digest.update(canonical([found, left]))
    if name in DRAWN_FROM:
        digest.update(canonical(open_store(options.store).summaries()["run_id"]))
    if name == "reproduction":
        for path in sorted(BENCH.glob("*.json")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _stored_key(target: Path) -> str | None:
    try:
        return nbformat.read(target, 4).metadata.get("lasem", {}).get("key")
    except (OSError, nbformat.reader.NotJSONError, nbformat.ValidationError):
        return None


def _stamp(target: Path, key: str) -> None:
    notebook = nbformat.read(target, 4)
    notebook.metadata["lasem"] = {"key": key}
    nbformat.write(notebook, target)


def report(folder: Path, target: Path) -> None:
    """One HTML page of all executed notebooks in `folder`, code left out, pictures inside."""
    from lasem_core.views.report import write_report

    write_report(notebook_files(folder), target)


def portable(path: str) -> str:
    """`path` without the repository's own place, so that a notebook that is handed on names no machine's folders."""
    root = in_repository("")
    return Path(path).relative_to(root).as_posix() if Path(path).is_relative_to(root) else path


@contextmanager
def _environment(data: str) -> Iterator[None]:
    """Kernels draw no progress bars, read no debugger hints and find the data without naming their folder; one thread
    each, since several run at a time and threads that wait for each other cost more than they bring."""
    wanted = {"LASEM_PROGRESS": "none", "PYDEVD_DISABLE_FILE_VALIDATION": "1", "OMP_NUM_THREADS": "1"}
    wanted |= {"LASEM_DATA": data} if data else {}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
