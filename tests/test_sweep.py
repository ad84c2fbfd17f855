"""Sweeps: what artefacts need, the same records whatever the engine, failures and killed workers."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from itertools import product

import joblib
import pandas as pd
import psutil
import pytest
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from lasem_core.bench import estimate
from lasem_core.common.duration import spell
from lasem_core.common.errors import LasemError
from lasem_core.data import load_stream
from lasem_core.runs import sweep
from lasem_core.runs.artefacts import ARTEFACTS, SHARED
from lasem_core.runs.pace import expected, pace_of
from lasem_core.runs.plan import plan
from lasem_core.runs.run import run_id_of
from lasem_core.runs.store import RunStore
from lasem_core.runs.sweep import KILLED, run_sweep
from lasem_core.spec.configs import static_set
from lasem_core.spec.run_spec import RunSpec, build_spec

TINY = {"schedule.epochs": "2", "stream.n_tasks": "2", "stream.fraction": "0.25"}
LONG = TINY | {"schedule.epochs": "30"}


def specs_of(settings, seeds=(0, 1)):
    return [
        build_spec({"method": "static", "base": base, "seed": s}, settings) for base in ("hps", "tf") for s in seeds
    ]


def digests(store, specs):
    return [store.get(run_id_of(spec)).digest() for spec in specs]


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The records of an undisturbed sweep in this process."""
    store = RunStore(tmp_path_factory.mktemp("reference"))
    specs = specs_of(TINY) + specs_of(LONG, seeds=(0,))
    report = run_sweep(specs, store, jobs=1, progress=False)
    assert report.done == specs  # one after the other, in their order
    return store


@pytest.fixture(scope="module")
def cluster():
    from lasem_core.runs.dask_engine import _local_cluster

    with _local_cluster(2) as cluster:
        yield cluster


@pytest.fixture(scope="module", autouse=True)
def _no_workers_left():
    yield
    get_reusable_executor().shutdown(wait=True)


def test_two_processes_of_which_one_is_killed_give_the_same_records(reference, tmp_path):
    store, specs = RunStore(tmp_path), specs_of(TINY) + specs_of(LONG, seeds=(0,))
    with _killing_soon(store, _a_loky_worker) as killed:
        report = run_sweep(specs, store, jobs=2, progress=False)
    assert killed and (len(report.done), report.failed, report.stored) == (6, [], [])
    assert digests(store, specs) == digests(reference, specs)
    again = run_sweep(specs, store, jobs=2, engine="dask", progress=False)  # nothing is done twice
    assert (again.done, again.failed, len(again.stored)) == ([], [], 6)


def test_dask_of_which_a_worker_is_killed_gives_the_same_records(reference, cluster, tmp_path):
    store, specs = RunStore(tmp_path), specs_of(TINY) + specs_of(LONG, seeds=(0,))
    with _killing_soon(store, lambda: cluster.workers[0].pid) as killed:
        report = run_sweep(specs, store, engine="dask", scheduler=cluster.scheduler_address, progress=False)
    assert killed and len(report.done) == 6 and not report.failed
    assert digests(store, specs) == digests(reference, specs)


def test_a_cluster_of_one_core_does_the_work_itself(cluster, monkeypatch):
    """Also for a moment after a worker has died."""
    from joblib._dask import DaskDistributedBackend

    monkeypatch.setattr(DaskDistributedBackend, "effective_n_jobs", lambda *_: 1)
    assert _through(cluster, joblib.delayed(os.getpid)()) != [os.getpid()]


def test_dask_reports_a_task_whose_worker_was_killed(cluster):
    from distributed import KilledWorker

    suicide = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    with pytest.raises(KilledWorker, match="on 1 different workers"):
        _through(cluster, joblib.delayed(exec)(suicide))


def test_a_cluster_without_workers_is_not_waited_for_for_ever(monkeypatch):
    from lasem_core.runs import dask_engine

    monkeypatch.setitem(dask_engine.POLICY, "distributed.scheduler.no-workers-timeout", "1 second")
    with dask_engine._local_cluster(0) as empty, pytest.raises(LasemError, match="no worker is left at tcp://"):
        _through(empty, joblib.delayed(os.getpid)())


def test_a_scheduler_without_workers_is_not_waited_for_for_ever(monkeypatch):
    """One that runs elsewhere, with Dask's own settings."""
    from lasem_core.runs import dask_engine

    monkeypatch.setattr(dask_engine, "POLICY", {})
    monkeypatch.setattr(dask_engine, "SECONDS_WITHOUT_WORKERS", 1)
    with dask_engine._local_cluster(0) as empty, pytest.raises(LasemError, match="no worker is left at tcp://"):
        _through(empty, joblib.delayed(os.getpid)())


def _through(cluster, task):
    from lasem_core.runs.dask_engine import dask_backend

    with dask_backend(2, cluster.scheduler_address) as (_, backend), joblib.parallel_config(backend=backend):
        return list(joblib.Parallel(return_as="generator_unordered", batch_size=1)([task]))


def _a_loky_worker():
    children = psutil.Process().children()
    return next(child.pid for child in children if any("popen_loky_posix" in word for word in child.cmdline()))


@contextmanager
def _killing_soon(store, find_pid):
    """SIGKILL a worker as soon as a run has left its first checkpoint."""
    killed, over = [], threading.Event()

    def kill():
        while not over.is_set() and not list((store.root / ".checkpoints").glob("*.pt")):
            time.sleep(0.01)
        if not over.is_set():
            killed.append(find_pid())
            os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_two_sweeps_share_a_store(reference, tmp_path):
    code = (
        "import json, sys; from lasem_core.spec.run_spec import RunSpec; from lasem_core.runs.store import RunStore\n"
        "from lasem_core.runs.sweep import run_sweep\n"
        "specs = [RunSpec(**spec) for spec in json.loads(sys.argv[1])]\n"
        "print(len(run_sweep(specs, RunStore(sys.argv[2]), jobs=1, progress=False).failed))"
    )
    specs = specs_of(TINY)
    dumped = "[" + ",".join(spec.model_dump_json() for spec in specs) + "]"
    command = [sys.executable, "-c", code, dumped, str(tmp_path)]
    sweeps = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in sweeps] == ["0", "0"]
    store = RunStore(tmp_path)
    assert store.check() == [] and len(store.summaries()) == len(specs)
    assert digests(store, specs) == digests(reference, specs)
    assert not list((tmp_path / ".tmp").iterdir()) and not (tmp_path / ".aside").exists()


def test_a_failing_run_is_listed_and_stops_no_other(tmp_path, monkeypatch):
    good, bad = build_spec({"method": "static"}, TINY), build_spec({"method": "static", "seed": 1}, TINY)
    nowhere = build_spec({"method": "static", "dataset": "cifar100"})
    put_for_real = RunStore.put

    def put(self, record, model_state=None):
        if record.spec.seed == 1:
            raise RuntimeError("a bug\nin two lines")
        return put_for_real(self, record, model_state)

    monkeypatch.setattr(RunStore, "put", put)
    monkeypatch.delenv("LASEM_DATA", raising=False)
    report = run_sweep([bad, nowhere, good], RunStore(tmp_path), jobs=1, progress=False)
    assert report.done == [good]
    assert dict(report.failed)[bad] == "RuntimeError: a bug in two lines"
    assert len(report.failed) == 2 and len(str(report).splitlines()) == 3


def test_the_data_may_be_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    spec = build_spec({"method": "static", "dataset": "cifar100"})
    ((_, cause),) = run_sweep([spec], RunStore(tmp_path / "runs"), "~/data", jobs=1, progress=False).failed
    assert str(tmp_path / "data") in cause and "~" not in cause


def test_a_run_that_kills_its_workers_is_found_out():
    specs = specs_of(TINY, seeds=range(4))
    bad = specs[2]

    def parallel(chosen):
        for spec in chosen:
            if spec == bad:
                raise BrokenProcessPool
            yield spec, None

    outcomes = list(sweep._outcomes(specs, parallel, at_once=2))
    assert {spec: cause for spec, cause in outcomes if cause} == {bad: KILLED}
    assert len(outcomes) == len(specs)


@pytest.mark.parametrize("options, message", [({"engine": "mpi"}, "loky, dask"), ({"scheduler": "tcp://x:1"}, "dask")])
def test_bad_engines(tmp_path, options, message):
    with pytest.raises(LasemError, match=message):
        run_sweep(specs_of(TINY), RunStore(tmp_path), progress=False, **options)


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/lasem"])
def test_a_sweep_into_nowhere_is_one_line(tmp_path, place):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LasemError, match="cannot") as caught:
        run_sweep(specs_of(TINY), RunStore(tmp_path / place), progress=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("profile", ["smoke", "quick", "paper"])
def test_every_artefact_has_a_plan_without_repetition(profile):
    for name in ARTEFACTS:
        specs = plan([name], profile)
        assert bool(specs) == (name not in ("figure2", "figure6", "table2"))
        assert len({str(spec.identity()) for spec in specs}) == len(specs)
        assert {spec.dataset for spec in specs} <= {"planted"} or profile != "smoke"


def test_plans_follow_the_paper():
    figure1 = plan(["figure1"], "paper")
    assert len(figure1) == 2 * 2 * 8 * 5
    on_stl = [spec for spec in plan(["figure3"], "paper", seeds=[0]) if spec.dataset == "stl10"]
    assert len(on_stl) == 2 * (16 + 1) and {spec.base for spec in on_stl} == {"tf", "df-cnn"}
    masses = [spec.em.fixed_mass for spec in plan(["figure5"], "quick", [0]) if spec.method == "fixed-posterior"]
    assert masses == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    nine_layers = [spec.em for spec in plan(["appendix_e"], "quick", [0]) if spec.method == "lasem"]
    assert [(em.groups, em.prune) for em in nine_layers] == [("1,2,3|4,5,6|7,8,9", "off"), ("", "sampled")]
    assert {spec.method for spec in plan(["table1"], "quick")} == {"den", "apd", "progressive", "darts", "lasem"}


@pytest.mark.parametrize("name", ["planted", "choice", "dynamics"])
def test_smoke_rehearses_large_studies_on_one_base(name):
    smoke, quick = ({(s.base, s.stream.relatedness) for s in plan([name], p, seeds=[0])} for p in ("smoke", "quick"))
    assert {base for base, _ in smoke} == {"hps"} < {base for base, _ in quick}
    assert {related for _, related in smoke} == {related for _, related in quick}


def test_shared_runs_are_planned_once():
    separate = sum(len(plan([name], "paper")) for name in ("figure3", "figure7", "table3"))
    assert len(plan(["figure3", "figure7", "table3"], "paper")) < separate / 2


def test_a_data_set_takes_the_place_of_the_papers():
    specs = plan(["figure3", "appendix_e"], "quick", seeds=[7], dataset="digits", settings={"optim.lr": "0.01"})
    assert {(spec.dataset, spec.seed, spec.optim.lr) for spec in specs} == {("digits", 7, 0.01)}
    assert {spec.config for spec in specs if spec.method == "static"} == {str(c) for c in static_set(4).values()}


@pytest.mark.parametrize(
    "names, profile", [(["figure9"], "smoke"), (["figure1"], "huge"), (["visits"], "huge"), (["figure2"], "huge")]
)
def test_unknown_names(names, profile):
    with pytest.raises(LasemError, match=r"figure1|profile"):
        plan(names, profile)


SECONDS = estimate._Seconds(epoch=2.0, test=1.0, task=5.0)


def test_estimates_are_timed_here_and_scale(monkeypatch):
    """Seed, belief and schedule cost nothing to vary: runs of one kind are timed once."""
    tried = []
    monkeypatch.setattr(estimate, "_epoch_seconds", lambda spec, data: tried.append(spec.method) or SECONDS)
    short = {"schedule.epochs": "10", "schedule.test_every": "5", "stream.n_tasks": "2"}
    specs = [
        build_spec({"seed": seed}, short | {"em.prior": prior}) for seed in (0, 1) for prior in ("count", "uniform")
    ]
    assert estimate.seconds_of(specs) == [2 * (10 * 2 + 10 * 1)] * 4
    long = {"schedule.epochs": "100", "schedule.test_every": "5"}
    assert estimate.seconds_of([build_spec({}, long)]) == [3 * (100 * 2 + (100 / 5 + 20) * 1)]
    assert tried == ["lasem"] * 2
    again = {"stream.n_tasks": "2", "stream.order": "0,1,0", "schedule.epochs": "10", "schedule.test_every": "5"}
    assert estimate.seconds_of([build_spec({}, again)]) == [3 * (10 * 2 + 10 * 1)]  # visits, not tasks
    released = short | {"schedule.evaluation": "every-epoch"}
    del released["schedule.test_every"]
    assert estimate.seconds_of([build_spec({}, released)]) == [2 * (10 * 2 + 10 * 5 * 1.5)]  # every task seen so far


@pytest.mark.parametrize(
    ("options", "settings", "timed", "per_step"),
    [
        ({"method": "static"}, {}, [10], 10),
        ({"method": "brute-force"}, {"em.groups": "1,2|3,4"}, [10], 4 * 10),  # every configuration is trained
        ({"method": "darts"}, {}, [10], 10 / 2),  # half of the images are held out
        ({"method": "progressive", "base": "none"}, {}, [10, 0.0, 0.0, 30], 20),  # the first task and the last
        ({}, {"em.prune": "refreshed"}, [10, 4, 1], 0.02 * 10 + 0.98 * 1 + 4 / 100),  # all, an E-step, one
    ],
)
def test_an_estimate_knows_what_a_method_costs(monkeypatch, options, settings, timed, per_step):
    seconds = iter([*timed, 0.0, 0.0])  # steps, then validation and test
    monkeypatch.setattr(estimate, "_timed", lambda work: (work(), next(seconds))[1])
    spec = build_spec(options, settings)
    n_steps = len(load_stream(spec).tasks[0].train) // spec.optim.batch_size
    expected = spec.stream.n_tasks * spec.schedule.epochs * n_steps * per_step
    assert estimate.seconds_of([spec]) == [pytest.approx(expected)]


@pytest.mark.parametrize(("method", "base", "kinds"), [("static", "hps", 1), ("progressive", "none", 2)])
def test_the_number_of_tasks_is_timed_where_steps_cost_more_with_every_task(monkeypatch, method, base, kinds):
    tried = []
    monkeypatch.setattr(estimate, "_epoch_seconds", lambda spec, data: tried.append(spec) or SECONDS)
    estimate.seconds_of([build_spec({"method": method, "base": base}, {"stream.n_tasks": n}) for n in ("2", "3")])
    assert len(tried) == kinds


def test_the_pace_of_records_counts_visits():
    table = pd.DataFrame(
        {"dataset": "planted", "method": "lasem", "base": "hps", "model.network": "cnn", "em.prune": "off",
         "n_tasks": 2, "epochs": 5, "train_seconds": [20.0, 60.0], "stream.order": ["fixed", [0, 1, 0, 1, 0, 1]]}
    )  # fmt: skip
    pace = pace_of(table)
    assert pace == {("planted", "lasem", "hps", "cnn", "off"): 2.0}
    spec = build_spec({}, {"stream.n_tasks": "2", "stream.order": "0,1,0", "schedule.epochs": "5"})
    assert expected([spec], pace) == (30.0, 0)


def test_no_data_no_estimate(monkeypatch):
    monkeypatch.delenv("LASEM_DATA", raising=False)
    assert estimate.seconds_of([RunSpec(dataset="cifar100")]) == [None]
    assert [spell(s) for s in (None, 5, 600, 7200)] == ["unknown", "5 s", "10 min", "2.0 h"]


def test_the_evidence_is_one_list_whatever_a_plan_asks_for():
    """Its runs carry their own profile and seeds; `all` means the paper's artefacts and leaves it alone."""
    specs = plan(["evidence"], "smoke")
    assert specs == plan(["evidence"], "quick", seeds=[7])
    assert {spec.profile for spec in specs} == {"quick", "paper"}
    assert {spec.dataset for spec in specs} == {"cifar100", "stl10"}
    first = specs[:30]
    assert {(s.method, s.base, s.seed) for s in first} == set(product(("static", "lasem"), SHARED, range(5)))
    assert all(s.profile == "quick" and s.em.prune == ("refreshed" if s.method == "lasem" else "off") for s in first)
    assert not {s.profile for s in plan(["all"], "smoke")} - {"smoke"}
