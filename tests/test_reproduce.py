"""`lasem reproduce`: which notebooks, with which parameters, executed once, wrong parameters in one line."""

import gc
import time
from dataclasses import replace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sample_records import record

from lasem_core.cli import app, exit_status
from lasem_core.common.errors import LasemError
from lasem_core.common.repository import in_repository
from lasem_core.data import fingerprint
from lasem_core.runs import generation as version
from lasem_core.runs.find import find
from lasem_core.runs.run import run_id_of
from lasem_core.runs.store import RunStore
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import gather, reproduce
from lasem_core.views.evidence import Evidence
from lasem_core.views.examples import CLASSES, PER_CLASS, example_folder
from lasem_core.views.parameters import Options, check_spec, parameters
from lasem_core.views.report import write_report

# nbclient leaves its event loop and sockets to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}

ROOT = reproduce.NOTEBOOKS.parent
SOURCES = reproduce.notebook_files()


def _notebook(folder, name="quickstart", body="print(seed)"):
    parameters = new_code_cell(
        'seed = 0  # of all\nstore = "outputs/runs"  # records', metadata={"tags": ["parameters"]}
    )
    notebook = new_notebook(cells=[new_markdown_cell("# A\n\nclaim"), parameters, new_code_cell(body)], metadata=KERNEL)
    path = folder / f"01_{name}.ipynb"
    nbformat.write(notebook, path)
    return path


@pytest.fixture
def notebooks(tmp_path, monkeypatch):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    monkeypatch.setattr(reproduce, "NOTEBOOKS", folder)
    yield folder
    gc.collect()


def test_all_notebooks_come_in_reading_order():
    names = reproduce.notebooks_of(["all"])
    assert names[:2] == ["reproduction", "quickstart"]
    assert names.index("figure1") < names.index("figure2") < names.index("table1") < names.index("planted")


def test_an_artefact_without_a_notebook_is_shown_in_another():
    assert reproduce.notebooks_of(["appendix_c", "figure1"]) == ["figure1", "table3"]


def test_unknown_artefact_is_one_line():
    with pytest.raises(LasemError, match="unknown artefact 'figure9'; choose from: all, reproduction, quickstart"):
        reproduce.notebooks_of(["figure9"])


def test_shared_parameters_go_only_to_views_of_shared_runs():
    options = Options(profile="quick", dataset="cifar100", seeds=[0, 1], out="/x")
    given = reproduce.parameters(SOURCES["figure1"], options)
    assert given["profile"] == "quick"
    assert given["seeds"] == [0, 1]
    assert reproduce.parameters(SOURCES["quickstart"], options) == {"out": "/x"}
    assert reproduce.parameters(SOURCES["figure2"], options) == {"out": "/x"}
    assert reproduce.parameters(SOURCES["figure1"], Options()) == {}


def test_smoke_is_told_to_every_notebook_that_has_a_profile():
    smoke = Options(profile="smoke")
    assert reproduce.parameters(SOURCES["figure1"], smoke) == {"profile": "smoke", "out": "outputs/smoke"}
    assert reproduce.parameters(SOURCES["table2"], smoke) == {"out": "outputs/smoke"}


def test_a_second_call_does_no_work_twice(notebooks, tmp_path):
    _notebook(notebooks)
    options = Options(out=str(tmp_path / "out"), store=str(tmp_path / "runs"), train_missing=False)
    said = []
    first = reproduce.reproduce(["quickstart"], options, say=said.append)
    page = tmp_path / "out" / "report.html"
    stamp = page.stat().st_mtime_ns
    second = reproduce.reproduce(["quickstart"], options, say=said.append)
    assert [o.executed for o in first.notebooks + second.notebooks] == [True, False]
    assert said == ["quickstart: done", "quickstart: up to date"]
    assert page.stat().st_mtime_ns == stamp
    _notebook(notebooks, body="print(seed + 1)")
    assert reproduce.reproduce(["quickstart"], options, say=said.append).notebooks[0].executed


def test_folders_are_named_from_the_repository_wherever_one_stands(tmp_path, monkeypatch):
    monkeypatch.delenv("LASEM_OUTPUTS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert in_repository("outputs/runs") == ROOT / "outputs" / "runs"
    assert reproduce.portable(str(ROOT / "outputs" / "runs")) == "outputs/runs"
    assert reproduce.portable("outputs/runs") == "outputs/runs"
    assert reproduce.portable("/elsewhere/runs") == "/elsewhere/runs"


def test_data_go_by_the_environment(monkeypatch):
    monkeypatch.delenv("LASEM_DATA", raising=False)
    with reproduce._environment("/images"):
        assert reproduce.os.environ["LASEM_DATA"] == "/images"
    assert "LASEM_DATA" not in reproduce.os.environ
    assert "data" not in reproduce.parameters(SOURCES["figure1"], Options(data="/images"))


def test_a_run_made_again_is_shown_again(tmp_path, monkeypatch):
    def key(seconds):
        made = Evidence("figure4", "quick", [], [record("a", seconds=seconds)])
        monkeypatch.setattr(reproduce, "stored", lambda *_: made)
        source = SOURCES["figure4"]
        return reproduce._key(source, {}, "figure4", Options(store=str(tmp_path)))

    assert key(10.0) == key(10.0) != key(11.0)


def test_another_estimate_of_what_is_left_is_shown(tmp_path, monkeypatch):
    """The pace of the missing runs comes from the whole store, not from the artefact's own records alone."""
    missing = record("a").spec
    kind = (missing.dataset, missing.method, missing.base, missing.model.network, missing.em.prune)

    def key(specs, seconds):
        made = Evidence("figure4", "quick", specs, [], pace={kind: seconds})
        monkeypatch.setattr(reproduce, "stored", lambda *_: made)
        return reproduce._key(SOURCES["figure4"], {}, "figure4", Options(store=str(tmp_path)))

    assert key([missing], 10.0) == key([missing], 10.0) != key([missing], 11.0)
    assert key([], 10.0) == key([], 11.0)  # nothing is left, no estimate is shown


def test_a_failing_notebook_is_named_and_tried_again(notebooks, tmp_path):
    _notebook(notebooks, body="1 / 0")
    options = Options(out=str(tmp_path / "out"), store=str(tmp_path / "runs"), train_missing=False)
    for _ in range(2):
        (outcome,) = reproduce.reproduce(["quickstart"], options, say=lambda _: None).failed
        assert outcome.executed
        assert outcome.problem == "cell 3: ZeroDivisionError: division by zero"
        assert outcome.path.name == "failed_01_quickstart.ipynb"


def test_a_failing_notebook_leaves_the_last_good_copy(notebooks, tmp_path):
    options = Options(out=str(tmp_path / "out"), store=str(tmp_path / "runs"), train_missing=False)
    _notebook(notebooks)
    (good,) = reproduce.reproduce(["quickstart"], options, say=lambda _: None).notebooks
    before = good.path.read_bytes()
    _notebook(notebooks, body="1 / 0")
    assert reproduce.reproduce(["quickstart"], options, say=lambda _: None).failed[0].problem
    assert good.path.read_bytes() == before


def test_a_kernel_that_dies_is_a_problem_of_its_notebook(notebooks, tmp_path):
    _notebook(notebooks, body="import os\nos.kill(os.getpid(), 9)")
    options = Options(out=str(tmp_path / "out"), store=str(tmp_path / "runs"), train_missing=False)
    (outcome,) = reproduce.reproduce(["quickstart"], options, say=lambda _: None).failed
    assert outcome.problem == "its kernel died, perhaps for want of memory"
    assert (tmp_path / "out" / "report.html").exists()


def test_ctrl_c_starts_no_further_notebook(notebooks, tmp_path, monkeypatch):
    for number in range(10):
        _notebook(notebooks, f"n{number}")
    begun = []

    def interrupted(name, *_):
        begun.append(name)
        time.sleep(0.2)
        raise KeyboardInterrupt

    monkeypatch.setattr(reproduce, "bring_up_to_date", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reproduce.reproduce(["all"], Options(out=str(tmp_path / "out"), store=str(tmp_path)), say=lambda _: None)
    assert len(begun) <= 2 * reproduce.AT_ONCE


def test_runs_that_fail_are_counted_though_the_notebook_is_executed(notebooks, tmp_path, capsys):
    """`figure4` is the view of three runs, here of images that are not there."""
    _notebook(notebooks, "figure4")
    words = ["reproduce", "figure4", "--profile", "smoke", "--dataset", "cifar100", "--data", tmp_path / "none"]
    words += ["--out", tmp_path / "out"]
    assert exit_status(lambda: app(args=[*map(str, words)], standalone_mode=False)) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("1 of 1 notebooks") and last.endswith("; 3 of the runs they show failed")


def test_strip_removes_what_differs_between_identical_runs():
    data = {"text/plain": "x", reproduce.WIDGET_VIEW: {"model_id": "1"}}
    output = nbformat.v4.new_output("display_data", data=data)
    cell = new_code_cell("1", outputs=[output], metadata={"papermill": {"duration": 1}, "execution": {}, "tags": ["a"]})
    notebook = new_notebook(cells=[cell], metadata=KERNEL | {"papermill": {}, "widgets": {}})
    stripped = reproduce.strip(notebook)
    assert stripped.metadata.keys() == KERNEL.keys()
    assert stripped.cells[0].metadata == {"tags": ["a"]}
    assert stripped.cells[0].outputs[0].data == {"text/plain": "x"}


def test_report_stands_alone(tmp_path):
    paths = {name: _notebook(tmp_path, name) for name in ("a", "b")}
    write_report(paths, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert 'id="b"' in text
    assert "print(seed)" not in text


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"profile": "fast"}, "profile = 'fast'"),
        ({"dataset": "mnist"}, "mnist"),
        ({"seeds": [-1]}, "seeds"),
        ({"colour": "red"}, "unknown setting 'colour'"),
    ],
)
def test_wrong_parameters_are_one_line(given, line):
    with pytest.raises(LasemError, match=line) as caught:
        Options.check(**given)
    assert len(caught.value._render_traceback_()) == 1
    assert "\n" not in str(caught.value)


DECLARED = 'profile = "smoke"  # scale\nbase = "hps"  # of this notebook alone\n'


def _after(*cells):
    """The globals of a kernel that has executed `cells`."""
    names = {}
    for cell in cells:
        exec(cell, names)
    return names | {"In": ["", *cells, "options = parameters(globals())"]}


def test_parameters_are_the_options_among_a_notebooks_globals():
    assert parameters(_after(DECLARED, "seeds = [0, 1]")).seeds == (0, 1)
    injected = '# Parameters\nprofile = "quick"\nbase = "tf"\n'
    assert parameters(_after(DECLARED, injected)).profile == "quick"
    assert parameters({"profile": "quick", "folder": "x"}).profile == "quick"  # a script has no history


def test_a_parameter_that_the_notebook_does_not_have_is_refused_until_it_is_mended():
    wrong, right = '# Parameters\nprofil = "quick"\n', '# Parameters\nprofile = "quick"\n'
    with pytest.raises(LasemError, match=r"^unknown parameter 'profil'; this notebook has: profile, base$"):
        parameters(_after(DECLARED, wrong))
    with pytest.raises(LasemError, match="unknown parameter 'seeds'"):  # an option, but not of this notebook
        parameters(_after(DECLARED, "# Parameters\nseeds = [0]\n"))
    assert parameters(_after(DECLARED, wrong, right)).profile == "quick"


def test_wrong_values_in_a_notebook_are_one_line():
    with pytest.raises(LasemError, match="profile = 'fast'"):
        parameters(_after('profile = "fast"'))


def test_papermill_does_not_run_a_notebook_with_a_parameter_it_does_not_have(tmp_path):
    source = _notebook(
        tmp_path, body="from lasem_core.views.parameters import parameters\nparameters(globals())\nprint('trains')"
    )
    problem = reproduce.execute(source, tmp_path / "x.ipynb", {"stor": "elsewhere"})
    assert problem == "cell 3: LasemError: unknown parameter 'stor'; this notebook has: seed, store"
    assert "'trains'" not in str([cell.get("outputs") for cell in nbformat.read(tmp_path / "x.ipynb", 4).cells])
    gc.collect()


def test_papermills_text_becomes_a_list():
    assert Options.check(seeds="[0, 1]").seeds == (0, 1)


def test_wrong_spec_is_one_line():
    with pytest.raises(LasemError, match="base"):
        check_spec({"base": "cnn"})


@pytest.mark.parametrize(
    ("chosen", "folder"),
    [
        ({}, "outputs"),
        ({"profile": "smoke"}, "outputs/smoke"),
        ({"profile": "quick", "dataset": "cifar100"}, "outputs/quick-cifar100"),
        ({"dataset": "stl10"}, "outputs/recorded-stl10"),
        ({"seeds": [0, 1]}, "outputs/recorded-0-1"),
        ({"preset": "released"}, "outputs/recorded-released"),
        ({"profile": "smoke", "out": "here"}, "here"),
    ],
)
def test_nothing_takes_the_place_of_evidence(chosen, folder):
    assert Options(**chosen).out == folder and Options(**chosen).store == "outputs/runs"


def test_tests_keep_their_outputs_apart(monkeypatch):
    monkeypatch.setenv("LASEM_OUTPUTS", "elsewhere")
    assert in_repository("outputs/runs").parts[-2:] == ("elsewhere", "runs")
    assert in_repository("/tmp/x").as_posix() == "/tmp/x"


def test_evidence_trains_only_what_is_missing(tmp_path, monkeypatch):
    spec = RunSpec(method="lasem", seed=0)
    monkeypatch.setattr(gather, "plan", lambda *_: [spec])
    asked = []

    def sweep(specs, store, *_, **__):
        asked.extend(specs)
        store.put(record(run_id_of(spec), seed=0))
        return type("Report", (), {"failed": []})

    monkeypatch.setattr(gather, "run_sweep", sweep)
    options = Options(store=str(tmp_path), profile="smoke")
    assert gather.gather("figure4", options).runs["seed"].tolist() == [0]
    assert gather.gather("figure4", options).runs["seed"].tolist() == [0]
    assert asked == [spec]


def test_stored_only_says_what_was_not_run(tmp_path):
    found = gather.gather("figure4", Options(store=str(tmp_path), profile="smoke", train_missing=False))
    assert str(found) == "figure4: 0 of 3 runs at profile smoke on Planted tasks"
    assert found.not_run("planted", "tf") == "not run: 1 run at profile smoke,\nduration unknown"


def test_records_are_found_without_the_data(tmp_path, monkeypatch):
    monkeypatch.delenv("LASEM_DATA", raising=False)
    store = RunStore(tmp_path)
    stored = record("0123456789abcdef", dataset="cifar100", profile="quick", seed=1)
    store.put(stored)
    assert [r.run_id for r in find([stored.spec], store)] == [stored.run_id]
    assert find([RunSpec(dataset="cifar100", profile="quick", seed=2)], store) == []


def test_records_of_older_code_are_shown_where_nothing_is_trained(tmp_path, monkeypatch):
    spec = RunSpec(profile="smoke")  # embedded data are always at hand
    made = replace(record("x", profile="smoke"), run_id=run_id_of(spec), fingerprint=fingerprint(spec))
    RunStore(tmp_path).put(made)
    monkeypatch.setattr(version, "CHANGES", (*version.CHANGES, version.Change("all", lambda spec: True)))
    store = RunStore(tmp_path)
    assert find([made.spec], store) == []
    (found,) = find([made.spec], store, older=True)
    assert found.stale and found.run_id == made.run_id
    RunStore(tmp_path / "other").put(replace(made, fingerprint="0" * 16))
    assert find([made.spec], RunStore(tmp_path / "other"), older=True) == []


def test_example_folder_is_written_once(tmp_path):
    folder = example_folder(tmp_path)
    files = sorted(folder.rglob("*.png"))
    assert len(files) == CLASSES * PER_CLASS
    assert example_folder(tmp_path) == folder
