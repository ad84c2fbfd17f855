"""What must not be accepted: every row ends with one line on stderr that names the value, and an exit status."""

import pytest

from lasem_core.cli import app, exit_status, main
from lasem_core.common.errors import Diverged
from lasem_core.learners import METHODS
from lasem_core.runs.run import run_id_of, train
from lasem_core.runs.store import RunStore
from lasem_core.spec.configs import ConfigSpace, parse_groups
from lasem_core.spec.consistency import SHARING_METHODS
from lasem_core.spec.effects import READERS
from lasem_core.spec.parts import Dataset, choices
from lasem_core.spec.presets import resolve
from lasem_core.spec.run_spec import RunSpec, build_spec
from lasem_core.training import Progress

TINY = {"schedule.epochs": "2", "stream.n_tasks": "2", "stream.fraction": "0.25"}


def lasem(capsys, *words):
    status = exit_status(lambda: app(args=[*map(str, words)], standalone_mode=False))
    return status, capsys.readouterr()


def layers(n):
    ones, threes = ",".join(["1"] * n), ",".join(["3"] * n)
    return f"--set model.channels={ones} --set model.kernels={threes} --set model.pools={ones}"


def rows(command, status, table):
    """`arguments  | part of the line` per line, `%` stands for the arguments' last value."""
    for line in table.strip().splitlines():
        words, _, told = line.partition(" | ")
        yield pytest.param(f"{command} {words.strip()}".split(), status, told.strip(), id=f"{command} {words.strip()}")


def sets(setting, *values, told=None, before=""):
    """A `train` row per value of one setting; the line names the setting unless `told` says otherwise."""
    table = "\n".join(f"{before} --set {setting}={value} | {told or setting}" for value in values)
    yield from rows("train", 2, table)


REAL = ("inf", "-inf", "nan", "1e400", "1e300", "-1", "x", "", "[1]")
WHOLE = ("0", "-1", "1.5", "1e3x", "x", "", "99999999999999999999999")
FLOATS = (
    ("", "optim.lr optim.lr_decay optim.eps optim.start optim.rho em.prior_count em.prune_eps model.dropout"),
    ("", "model.tf_orthogonality model.weight_std stream.fraction stream.valid_fraction stream.test_fraction"),
    ("--method ewc", "ewc.strength"),
    ("--method apd", "apd.l1 apd.anchor"),
    ("--method den", "den.l1 den.l2 den.group_lasso den.drift den.loss_threshold den.sparsity_threshold"),
    ("--method darts --base hps", "darts.alpha_lr darts.alpha_weight_decay darts.weight_lr darts.weight_momentum"),
    ("--method darts --base hps", "darts.weight_clip"),
    ("--method fixed-posterior --base hps", "em.fixed_mass"),
)
INTEGERS = "stream.n_tasks stream.classes_per_task optim.batch_size schedule.test_every em.m_steps em.prune_every"

TABLE = [
    *(row for before, names in FLOATS for name in names.split() for row in sets(name, *REAL, before=before)),
    *(row for name in INTEGERS.split() for row in sets(name, *WHOLE)),
    *sets("model.bias_init", "inf", "nan", "1e300", "x"),
    *sets("schedule.epochs", "-1", "", "1.5", "99999999999"),
    *sets("stream.valid_fraction", "1", "0", "2", before="--dataset digits"),
    *sets("stream.test_fraction", "1", "0", "2", before="--dataset digits"),
    *sets("stream.order", "0,", ",0", "0,,1", "", "abc", "1.5", "-1", "0,9", "0;1"),
    *sets("model.channels", "8,8,8,", "8,8,8,0", "8,8,8,x", "", "99999999999,8,8,8"),
    *sets("model.kernels", "3,3,3", "3,3,3,3,3", told="4 entries"),
    *sets("model.kernels", "2,3,3,3", told="even"),
    *sets("model.pools", "99,1,1,1", told="use at most 32"),
    *sets("em.groups", "1,2|3", "1,2|2,3,4", "1;2", "1,2|3,4|", "5,1,2,3,4", told="partition"),
    *rows("train", 2, """
    --dataset cifar                                     | cifar100
    --method lasm                                       | 'lasem'
    --base cnn                                          | df-cnn
    --base none                                         | hps, tf, df-cnn
    --method den --base hps                             | use none
    --preset published                                  | paper
    --profile fast                                      | quick
    --precision fp8                                     | bf16
    --device tpu                                        | cuda
    --seed one                                          | --seed
    --seed 1.5                                          | 1.5
    --seed -1                                           | seed
    --seed 100000000000000000000000                     | less than 9223372036854775808
    --sed 1                                             | --sed
    --threads 0                                         | threads
    --threads 100000                                    | less than or equal to 1024
    --jobs 0                                            | --jobs
    --jobs -7                                           | -7
    --jobs 5                                            | --jobs 5: method lasem trains one network at a time
    --jobs 100000                                       | 1024
    --config 0101                                       | leave it out
    --method static --config 01                         | 4 layers
    --method static --config {2,}                       | config '{2,}'
    --method static --config {,2}                       | config '{,2}'
    --method static --config {,}                        | config '{,}'
    --method static --config {5}                        | config '{5}'
    --method static --config top9                       | config 'top9'
    --set em.likelyhood=mean                            | known here: likelihood
    --set emm.likelihood=mean                           | unknown setting
    --set em.likelihood                                 | KEY=VALUE
    --set =mean                                         | KEY=VALUE
    --set em.=mean                                      | unknown setting
    --set .=mean                                        | unknown setting
    --set .em=1                                         | unknown setting '.em'
    --set em=5                                          | em = '5': em is a group of settings; give em.NAME
    --set model=5                                       | model = '5'
    --set em=5 --set em.prior=count                     | contradict
    --set stream.n_tasks.x=1                            | stream.n_tasks
    --method lasem --set method=static                  | --set method=static
    --seed 4 --set seed=3                               | --set seed=3
    --set seed=3                                        | --set seed=3
    --set em.m_steps=2 --set em.m_steps=3               | --set em.m_steps=2 and --set em.m_steps=3: give one of them
    --set dataset=digits                                | --set dataset=digits
    --set base=tf                                       | --set base=tf
    --set preset=released                               | --set preset=released
    --set profile=quick                                 | --set profile=quick
    --set config=all                                    | --set config=all
    --set device=cpu                                    | --set device=cpu
    --set precision=fp64                                | --set precision=fp64
    --set threads=2                                     | --set threads=2
    --classes-per-task 3 --set stream.classes_per_task=4 | give one of them
    --classes-per-task 1000000                          | 3,000,000 classes
    --set stream.n_tasks=1000000                        | 4,000,000 classes
    --set model.channels=9999999,9999999,8,8            | layer 2 (model.channels 9999999)
    --set model.head=99999999                           | model.head
    --base df-cnn --set model.deconv_channels=9999999,9,9,9 | layer 1
    --method den --set den.expansion=99999999           | den.expansion
    --set em.prune=certified                            | refreshed
    --method static --set em.prune=refreshed            | use off
    --method den --set den.phases=0,0,0,0               | den.phases
    --method den --set den.phases=1,1,1                 | den.phases
    --method den --set den.phases=1,1                   | den.phases = ['1', '1']: it needs 4 entries
    --method den --set den.phases=1,1,1,inf             | den.phases
    --method brute-force --base df-cnn --set brute_force.tie_first_two=true | brute_force.first_task=fixed
    --method brute-force --base tf --set brute_force.tie_first_two=true     | brute_force.first_task=fixed
    --method fixed-posterior --config 0111 --set em.groups=1,2|3,4 | same within each group
    --method fixed-posterior --set em.fixed_mass=0.0625 | use more than 1/16
    --method fixed-posterior --set em.fixed_mass=0.01   | use more than 1/16
    --method fixed-posterior --config all --set em.groups=1,2|3,4 --set em.fixed_mass=0.25 | use more than 1/4
    """),
    *(row for method in ("lasem", "darts", "brute-force") for row in rows("train", 2, f"""
    --method {method} {layers(13)}                      | 2^13 configurations, at most 4096
    --method {method} {layers(20)}                      | em.groups
    """)),
    *rows("train", 2, """
    --set stream.noise=paper                            | changes nothing where dataset is 'planted'
    --set stream.normalisation=none                     | changes nothing where dataset is 'planted'
    --set stream.valid_fraction=0.3                     | changes nothing where dataset is 'planted'
    --set stream.test_fraction=0.4                      | changes nothing where dataset is 'planted'
    --set stream.domain_groups=shared                   | acts where dataset is office-home
    --dataset digits --set stream.noise=paper           | changes nothing where dataset is 'digits'
    --dataset digits --set stream.relatedness=high      | acts where dataset is planted
    --dataset cifar100 --set stream.test_fraction=0.4   | changes nothing where dataset is 'cifar100'
    --set model.tf_orthogonality=1                      | acts where base is tf
    --set model.weight_std=0.1                          | acts where model.weight_init is truncated-normal
    --set em.prior=uniform --set em.prior_count=2       | acts where em.prior is count, history
    --set em.prune_every=5                              | acts where em.prune is
    --set em.prune=refreshed --set em.prune_samples=2   | acts where em.prune is sampled
    --set em.fixed_mass=0.5                             | acts where method is fixed-posterior
    --set schedule.evaluation=every-epoch --set schedule.test_every=2 | acts where schedule.evaluation is lazy
    --method static --set em.likelihood=mean            | changes nothing where method is 'static'
    --method static --set em.groups=1,2|3,4             | changes nothing where method is 'static'
    --method static --preset released --set em.prior=count | changes nothing where method is 'static'
    --method single-task --set em.rollback=false        | changes nothing where method is 'single-task'
    --method darts --set em.m_steps=2                   | changes nothing where method is 'darts'
    --method darts --set optim.lr=0.1                   | acts where darts.weight_optimizer is rmsprop
    --method darts --set optim.start=0                  | acts where darts.weight_optimizer is rmsprop
    --method static --set em.rollback=false             | acts where method is lasem, fixed-posterior, darts
    --method static --set em.shared_init=until-transferred | changes nothing where method is 'static'
    --method brute-force --set em.rollback=false        | changes nothing where method is 'brute-force'
    --set model.kb_channels=2,2,2,2                     | acts where base is df-cnn
    --set model.network=resnet --set model.bias_init=1  | acts where model.network is cnn
    --set em.prior=related --set em.prune=refreshed --set em.prune_every=5 | use at least 100
    --method darts --set darts.weight_optimizer=rmsprop --set darts.weight_lr=1 | acts where darts.weight_optimizer
    --method apd --preset released --set apd.anchor=1   | acts where apd.variant is original
    """),
    *(row for method in ("fine-tune", "joint", "ewc", "den", "apd", "progressive") for row in rows("train", 2, f"""
    --method {method} --set em.m_steps=2                | changes nothing where method is '{method}'
    --method {method} --set em.rollback=false           | changes nothing where method is '{method}'
    --method {method} --set em.shared_init=until-transferred | changes nothing where method is '{method}'
    --method {method} --set em.prior_count=2            | changes nothing where method is '{method}'
    --method {method} --set darts.alpha_lr=1            | acts where method is darts
    """)),
    *rows("train", 2, """
    --set darts.alpha_data=train                        | acts where method is darts
    --set progressive.compression=3                     | acts where method is progressive
    --set den.drift=1                                   | acts where method is den
    --set apd.l1=1                                      | acts where method is apd
    --set brute_force.first_task=fixed                  | acts where method is brute-force
    --set ewc.strength=1                                | acts where method is ewc
    """),
    *rows("sweep", 2, """
    figure1 --dry-run --set seed=3                      | --set seed=3
    figure1 --dry-run --set method=static               | --set method=static
    figure1 --dry-run --set em.likelihood=mean          | changes nothing where method is 'static'
    figure1 --dry-run --seeds 4-0                       | --seeds 4-0
    figure1 --dry-run --seeds 0-99999999999             | --seeds 0-99999999999
    figure1 --dry-run --seeds x                         | --seeds x
    figure1 --dry-run --seeds 99999999999999999999999   | seed = 99999999999999999999999
    figure9 --dry-run                                   | figure9
    planted --preset released --dry-run                 | --preset released: planted has its own preset
    evidence --preset released --dry-run                | --preset released: evidence has its own preset
    figure2 --preset nonsense --dry-run                 | preset
    visits --profile tiny --dry-run                     | profile
    figure1 --engine dask --scheduler tcp://x:1 --jobs 4 --dry-run | --jobs 4
    figure1 --dry-run --profile fast                    | fast
    figure1 --jobs 100000                               | 1024
    figure1 --dry-run --engine foo                      | unknown engine 'foo'; choose from: loky, dask
    figure1 --dry-run --scheduler tcp://x:1             | tcp://x:1 needs --engine dask
    evidence --dry-run --profile quick                  | --profile quick: evidence has its own profile
    evidence --dry-run --seeds 0-4                      | --seeds 0-4: evidence has its own seeds
    evidence --dry-run --dataset digits                 | --dataset digits: evidence has its own dataset
    figure1 planted --dry-run --dataset digits          | --dataset digits: planted has its own dataset
    choice --dry-run --dataset digits                   | --dataset digits: choice has its own dataset
    """),
    *rows("reproduce", 2, """
    figure9                                             | figure9
    figure2 --seeds 99999999999999999999999             | seeds
    figure2 --profile fast                              | fast
    figure2 --dataset foo                               | dataset = 'foo': input should be 'planted', 'digits'
    """),
    *rows("data", 2, """
    show mnist                                          | mnist
    show digits --seed 100000000000000000000000         | seed
    show digits --set stream.n_tasks=9                  | use at most 4
    show digits --set seed=1                            | --set seed=1
    show planted --classes-per-task 1000000             | 5,000,000 classes
    show cifar100 --data nowhere                        | lasem data prepare cifar100 --data nowhere
    prepare planted --data x                            | needs no preparation
    prepare nope                                        | unknown data set 'nope'
    status --data nowhere                               | nowhere: there is no such data folder
    """),
    *rows("bench", 2, """
    --epochs 1 --precision bf16                         | --precision bf16 changes nothing with --epochs 1
    --epochs 1 --rounds 50                              | --rounds 50 changes nothing with --epochs 1
    --data x                                            | --data x changes nothing without --epochs
    --seed 1                                            | --seed 1 changes nothing without --epochs
    --base cnn                                          | base = 'cnn'
    """),
]  # fmt: skip
WITH_STORE = ("train", "sweep", "reproduce")


@pytest.mark.parametrize(("words", "status", "told"), TABLE)
def test_one_line_and_nothing_written(capsys, tmp_path, monkeypatch, words, status, told):
    monkeypatch.chdir(tmp_path)
    store = ["--store", "runs"] if words[0] in WITH_STORE else []
    if words[0] == "train" and "--base" not in words and "--method" in words:
        needs = words[words.index("--method") + 1] in SHARING_METHODS
        words = [*words, "--base", "hps" if needs else "none"]
    assert told
    found, streams = lasem(capsys, *words, *store)
    assert (found, streams.out) == (status, "")
    assert streams.err.startswith("lasem: ") and streams.err.count("\n") == 1 and len(streams.err) < 500
    assert told in streams.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "words",
    [
        "train --store", "train --data", "runs --store", "sweep figure1 --store", "sweep figure1 --data",
        "reproduce figure2 --store", "reproduce figure2 --out", "reproduce figure2 --data",
        "data show digits --out", "data show digits --data", "data status --data", "data prepare cifar100 --from",
        "bench --data",
    ],
)  # fmt: skip
def test_an_empty_path_is_not_the_working_directory(capsys, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    status, streams = lasem(capsys, *words.split(), "")
    assert (status, streams.out, streams.err.count("\n")) == (2, "", 1)
    assert "the path is empty" in streams.err and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/lasem"])
@pytest.mark.parametrize(
    "words",
    [
        "train --set schedule.epochs=1 --store", "data show digits --out", "sweep figure4 --store",
        "reproduce figure2 --out", "reproduce figure4 --profile smoke --out o --store",
    ],
)  # fmt: skip
def test_a_place_that_cannot_be_written(capsys, tmp_path, monkeypatch, words, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("in the way")
    status, streams = lasem(capsys, *words.split(), place)
    assert (status, streams.err.count("\n")) == (2, 1)
    assert place in streams.err and (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("words", ["runs", "runs --check", "runs --json", "runs abc", "reproduce figure2 --no-train"])
def test_a_store_that_is_a_file(capsys, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "README.md").write_text("text")
    status, streams = lasem(capsys, *words.split(), "--store", "README.md")
    assert (status, streams.out, streams.err.count("\n")) == (2, "", 1) and "README.md" in streams.err


def test_an_operating_systems_word_is_one_line(capsys):
    def refused():
        raise PermissionError(13, "Permission denied", "/root/x")

    assert exit_status(refused) == 2
    assert capsys.readouterr().err == "lasem: /root/x: Permission denied\n"


def test_without_a_home_directory(capsys):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    assert exit_status(homeless) == 2
    assert "set HOME" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="a defect"):
        exit_status(lambda: (_ for _ in ()).throw(RuntimeError("a defect")))


# what is accepted all the same


@pytest.mark.parametrize("dataset", choices(Dataset))
@pytest.mark.parametrize("preset", ["paper", "released"])
def test_what_the_tables_give_is_accepted_for_every_method(dataset, preset):
    for method in METHODS:
        base = "hps" if method in SHARING_METHODS else "none"
        usual = resolve(dataset, method, base, preset, "quick")
        spec = RunSpec(dataset=dataset, method=method, base=base, preset=preset, profile="quick")
        assert RunSpec(**usual | {"dataset": dataset, "method": method, "base": base, "preset": preset,
                                  "profile": "quick"}) == RunSpec(**spec.model_dump(mode="json")) == spec  # fmt: skip


def test_every_setting_of_the_table_is_accepted_where_it_acts():
    accepted = [
        ({"method": "static"}, {"em.m_steps": "2", "optim.lr": "0.1"}),
        ({"method": "single-task", "base": "none"}, {"em.m_steps": "2"}),
        ({"method": "darts"}, {"em.groups": "1,2|3,4", "em.rollback": "false", "darts.alpha_lr": "1"}),
        ({"method": "darts"}, {"darts.weight_optimizer": "rmsprop", "optim.lr": "0.1"}),
        ({"method": "darts"}, {"darts.alpha_optimizer": "rmsprop", "optim.lr": "0.1"}),
        ({"method": "brute-force"}, {"brute_force.tie_first_two": "true", "em.m_steps": "2"}),
        ({"base": "df-cnn"}, {"model.kb_channels": "2,2,2,2"}),
        ({"method": "fixed-posterior"}, {"em.fixed_mass": "0.07"}),
        ({"base": "tf"}, {"model.tf_orthogonality": "1", "model.weight_init": "truncated-normal",
                          "model.weight_std": "0.1"}),
        ({}, {"em.prune": "sampled", "em.prune_samples": "2", "em.prune_eps": "0.1", "em.prior_count": "2"}),
        ({"dataset": "stl10"}, {"stream.noise": "released", "stream.normalisation": "split"}),
        ({"dataset": "digits"}, {"stream.test_fraction": "0.4", "stream.valid_fraction": "0.1"}),
        ({"method": "apd", "base": "none"}, {"apd.anchor": "1"}),
    ]  # fmt: skip
    for options, settings in accepted:
        assert build_spec(options, settings).identity() != build_spec(options).identity()


def test_the_table_names_settings_that_exist():
    spec = RunSpec()
    for names, decides, values in READERS:
        for name in (*names.split(), decides):
            part, _, field = name.partition(".")
            assert hasattr(spec, part) and (not field or hasattr(getattr(spec, part), field))
        assert values


def test_many_layers_in_few_groups_are_searched():
    halves = ",".join(map(str, range(1, 11))) + "|" + ",".join(map(str, range(11, 21)))
    words = layers(20).replace("--set ", "").split()
    spec = build_spec({}, dict(word.split("=") for word in words) | {"em.groups": halves})
    assert [str(config) for config in spec.space] == ["1" * 20, "0" * 10 + "1" * 10, "1" * 10 + "0" * 10, "0" * 20]
    grouped = ConfigSpace.grouped(6, parse_groups("1,4|2|3,5,6"))
    wanted = [c for c in ConfigSpace.full(6) if c.bits[0] == c.bits[3] and c.bits[2] == c.bits[4] == c.bits[5]]
    assert list(grouped) == wanted


# training that leaves the finite numbers


@pytest.mark.parametrize("method", METHODS)
def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, capsys, method):
    base, name = "hps" if method in SHARING_METHODS else "none", "optim.lr"
    name = "darts.weight_lr" if method == "darts" else "optim.lr"
    settings = [f"{key}={value}" for key, value in {**TINY, name: "1e30"}.items()]
    words = ["train", "--method", method, "--base", base, "--store", tmp_path]
    words += [word for setting in settings for word in ("--set", setting)]
    lines = []
    for _ in range(2):
        status, streams = lasem(capsys, *words)
        lines.append(streams.err)
        assert (status, streams.out) == (2, "")
        assert f"lower {name} (now 1e+30)" in streams.err and "of task 1" in streams.err
    assert lines[0] == lines[1] and lines[0].count("\n") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_diverged_run_takes_its_checkpoint_along_and_leaves_others_alone(tmp_path):
    class Eager(RunStore):
        def checkpoint(self, run_id, every_seconds=0):
            return super().checkpoint(run_id, 0)

    class Watch(Progress):
        def epoch(self, visit, row, report):
            seen.append([path.name for path in (tmp_path / ".checkpoints").glob("*.pt")])

    seen, store = [], Eager(tmp_path)
    other = store.checkpoint("other").path
    other.write_bytes(b"an unfinished run waits")
    spec = build_spec({"method": "darts"}, TINY | {"darts.weight_lr": "1e10"})
    with pytest.raises(Diverged):
        train(spec, store, progress=Watch(spec))
    assert seen and [path.name for path in other.parent.iterdir()] == ["other.pt"]
    assert store.get(run_id_of(spec)) is None


def test_main_is_the_same(capsys, tmp_path):
    with pytest.raises(SystemExit) as caught:
        main(["train", "--seed", "-1", "--store", str(tmp_path)])
    assert caught.value.code == 2 and capsys.readouterr().err.count("\n") == 1
