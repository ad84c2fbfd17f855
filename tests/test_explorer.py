"""What the explorer's page holds is what the records hold; what it does with it is in tests/browser."""

import base64
import json
import re
import zlib

import nbformat
import numpy as np
import pytest
import torch
from run_notebooks import ROOT, committed_records
from sample_records import record

from lasem_core import RunSpec, em
from lasem_core.common.errors import LasemError
from lasem_core.common.statistics import t_interval
from lasem_core.learners.priors import PRIORS
from lasem_core.views.replay import (
    LIKELIHOODS,
    last_switch,
    recorded_posterior,
    recover_log_likelihoods,
    replay,
    rescale,
)
from lasem_core.views.reproduce import NOTEBOOKS, notebook_files
from lasem_core.views.widgets import Explorer, explorer
from lasem_core.views.widgets.bundle import EPOCHS, NAMES, RULES, pack
from lasem_core.views.widgets.explorer import LEAST_RECORDED

HALF = 0.5 / 255 + 1e-9  # what rounding to a byte may cost


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Every committed record that the explorer takes, and what the page makes of them; not what `make reproduce` has
    trained beside them."""
    explorer = Explorer(committed_records(tmp_path_factory.mktemp("committed")).records())
    return explorer.records, explorer.bundle


@pytest.fixture
def few():
    lasem = [record(f"l{base}{seed}", base=base, seed=seed) for base in ("hps", "tf") for seed in range(2)]
    return [*lasem, record("s0", 0.3, method="static", config="0101")]


def unpack(text):
    raw = zlib.decompress(base64.b64decode(text))
    start = 4 + int.from_bytes(raw[:4], "little")
    return json.loads(raw[4:start]), np.frombuffer(raw[start:], np.uint8)


def parts(run, written):
    """Per task: transfer (E, d), configurations in use (E,), steps (S, C), epochs (E, C), beliefs (R, S, C)."""
    e, s, c, d = len(run["shown"]), len(run["steps"]), len(run["names"]), run["depth"]
    at = run["at"]
    for _ in run["configs"]:
        found = []
        for shape in ((d, e), (e,), (c, s), (c, e), (run["rules"], c, s)):
            size = int(np.prod(shape))
            found.append(written[at : at + size].reshape(shape))
            at += size
        transfer, used, *posteriors = found
        transfer, *posteriors = [
            np.cumsum(part, -1, np.uint8).swapaxes(-1, -2) / 255 for part in (transfer, *posteriors)
        ]
        yield transfer, [run["used"][index] for index in used], *posteriors


def visits(record):
    """By task the position of its last visit on which the run still weighed configurations, else of its first."""
    by_task = {}
    for position in range(len(record.spec.stream.order) if isinstance(record.spec.stream.order, tuple) else 0):
        weighed = (record.posterior["position"] == position) & (record.posterior["mass"] < 1)
        if weighed.any() or record.spec.stream.order[position] not in by_task:
            by_task[record.spec.stream.order[position]] = position
    return list(by_task.values()) or list(range(len(record.configs)))


def test_of_a_task_that_is_visited_again_the_last_visit_that_searched_is_shown(recorded):
    records, text = recorded
    header, written = unpack(text)
    again = [run for run in header["runs"] if "at" in run and len(records[run["id"]].history["position"].unique()) > 3
             and isinstance(records[run["id"]].spec.stream.order, tuple)]  # fmt: skip
    assert {records[run["id"]].spec.em.revisit for run in again} == {"fixed", "search"}
    later = 0
    for run in again:
        shown, shares_of_layers = list(parts(run, written)), records[run["id"]].history.filter(regex="^(pos|transfer_)")
        for visit, (transfer, *_) in zip(visits(records[run["id"]]), shown, strict=True):
            last = shares_of_layers[shares_of_layers["position"] == visit].iloc[-1, 1:]
            assert np.abs(transfer[-1] - last).max() <= HALF
        assert [used[-1] for _, used, *_ in shown] == run["configs"] == records[run["id"]].configs
        later += max(visits(records[run["id"]])) >= len(shown)
    assert 0 < later < len(again)  # some went on searching, others kept their first choice


def test_every_committed_record_is_on_one_page_and_planted_ones_come_first(recorded):
    records, text = recorded
    runs = unpack(text)[0]["runs"]
    assert {run["id"] for run in runs} == set(records)
    assert len(text) < 1_500_000
    planted = [bool(run["planted"]) for run in runs]
    assert sum(planted) >= 456
    assert planted == sorted(planted, reverse=True)


def test_tasks_come_in_the_order_of_their_first_visits_and_those_without_one_are_left_out():
    made = record("r", configs=("0111", "0101"), stream={"n_tasks": 3, "order": (1, 0)}, schedule={"epochs": 4})
    made.tables["accuracy"] = made.accuracy[made.accuracy["position"] < 2]
    for table in made.tables.values():
        table["task"] = 1 - table["task"]
    made.summary["configs"] = ["0101", "0111", ""]
    (run,) = unpack(pack([made])[0])[0]["runs"]
    assert (run["configs"], run["tasks"], len(run["accuracy"])) == (["0111", "0101"], 2, 2)


def test_a_fixed_posterior_is_not_called_static_and_says_which():
    made = record("r", method="fixed-posterior", config="0101", base="df-cnn")
    (run,) = unpack(pack([made])[0])[0]["runs"]
    assert (run["method"], run["bits"]) == ("fixed posterior", "") and "config=0101" in run["others"]


def test_results_and_choices_are_those_of_the_record(recorded):
    records, text = recorded
    for run in unpack(text)[0]["runs"]:
        summary = records[run["id"]].summary
        assert run["configs"] == records[run["id"]].configs
        assert run["results"][:2] == pytest.approx([summary["final_accuracy"], summary["peak_at_best_valid"]], abs=6e-6)
        assert np.mean(run["accuracy"]) == pytest.approx(summary["final_accuracy"], abs=1e-4)


def test_histories_are_those_of_the_record_to_a_byte(recorded):
    records, text = recorded
    header, written = unpack(text)
    chose = [run for run in header["runs"] if "at" in run]
    assert len(chose) >= 100
    for run in chose[::7]:
        history = records[run["id"]].history.set_index(["position", "epoch"])
        assert len(run["shown"]) <= EPOCHS
        assert {1, run["epochs"], *run["switches"]} <= set(run["shown"])
        for task, (transfer, used, _, _, _) in enumerate(parts(run, written)):
            visit = history.loc[visits(records[run["id"]])[task]].loc[run["shown"]]
            assert np.abs(transfer - visit.filter(regex="^transfer_").to_numpy()).max() <= HALF
            assert used == visit["config"].tolist()


def test_posteriors_are_those_of_the_record_to_a_byte(recorded):
    records, text = recorded
    header, written = unpack(text)
    for run in [
        run for run in header["runs"] if "at" in run and run["steps"] and len(run["names"]) < 17 and run["depth"] < 9
    ][::9]:
        for visit, (_, _, steps, epochs, _) in zip(visits(records[run["id"]]), parts(run, written), strict=True):
            table = records[run["id"]].posterior.query(f"position == {visit} and step >= 0")
            posterior = table.pivot(index="step", columns="config", values="mass").fillna(0)
            posterior = posterior.reindex(columns=run["names"], fill_value=0)  # brute force lists one configuration
            assert np.abs(steps - posterior.loc[np.array(run["steps"]) - 1].to_numpy()).max() <= HALF
            assert epochs.sum(1).max() < 1.05


def test_of_many_configurations_the_leading_ones_are_kept(recorded):
    records, text = recorded
    (run,) = [run for run in unpack(text)[0]["runs"] if run["depth"] == 9 and "em.prune=sampled" in run["others"]]
    assert len(run["names"]) == NAMES
    assert "rest" not in run["names"]
    assert set(records[run["id"]].configs) <= set(run["names"])


def test_the_page_tells_the_last_switch_of_the_record(recorded):
    records, text = recorded
    for run in [run for run in unpack(text)[0]["runs"] if "at" in run][::7]:
        history = records[run["id"]].history.query("epoch > 0")
        for visit, epoch in zip(visits(records[run["id"]]), run["switches"], strict=True):
            configs = history[history["position"] == visit]["config"].tolist()
            assert len(set(configs[epoch - 1 :])) == 1
            assert epoch == 1 or configs[epoch - 2] != configs[epoch - 1]


def test_seeds_of_a_family_and_statics_of_a_ground_belong_together(recorded):
    runs = unpack(recorded[1])[0]["runs"]
    low = [r for r in runs if r["data"] == "Planted tasks (low)" and r["base"] == "HPS"]
    plain = [r for r in low if r["method"] == "LASEM" and r["preset"] == "paper" and not r["others"]]
    assert sorted(r["seed"] for r in plain) == [0, 1, 2]
    assert len({r["family"] for r in plain}) == 1
    statics = [r for r in runs if r["ground"] == plain[0]["ground"] and r["bits"]]
    assert len({r["bits"] for r in statics}) == 16
    assert {r["planted"] for r in statics} == {"1100"}


def test_intervals_use_students_quantiles(few):
    quantiles = unpack(pack(few)[0])[0]["t"]
    values = [0.3, 0.5, 0.6]
    assert quantiles[1] * np.std(values, ddof=1) / np.sqrt(3) == pytest.approx(t_interval(values)[1], abs=1e-4)


def test_replayed_beliefs_are_on_the_page(few):
    header, written = unpack(pack(few)[0])
    run = header["runs"][0]
    assert [tuple(rule) for rule in header["rules"]] == list(RULES)
    names, posterior = recorded_posterior(few[0], 1)
    log_lik = recover_log_likelihoods(posterior, few[0].spec)
    columns = [names.index(name) for name in run["names"]]
    beliefs = next(parts(run, written))[4]
    for number, (likelihood, prior) in enumerate(RULES):
        _, belief = replay(rescale(log_lik, few[0].spec.em.likelihood, likelihood, 10), prior)
        assert np.abs(beliefs[number] - belief[np.array(run["steps"]) - 1][:, columns]).max() <= HALF
        assert run["replays"][0][number] == last_switch(belief)


def test_a_run_that_recorded_little_of_its_belief_is_left_out():
    brief, whole = (record(f"b{n}", schedule={"recorded": n}) for n in (LEAST_RECORDED - 1, LEAST_RECORDED))
    assert list(Explorer([brief, whole]).records) == [whole.run_id]
    with pytest.raises(
        LasemError, match=r"run = 'b99' is none of the 1 runs here; .* schedule\.recorded of at least 100"
    ):
        Explorer([brief, whole], run=brief.run_id)
    with pytest.raises(LasemError, match=r"no recorded run to explore .* schedule\.recorded of at least 100"):
        Explorer([brief])


@pytest.mark.parametrize("kind", PRIORS)
def test_many_tasks_are_replayed_at_a_time_by_the_learners_priors(kind):
    log_lik = np.random.default_rng(0).normal(size=(3, 12, 8))
    posteriors, beliefs = replay(log_lik, kind)
    for task in range(3):
        prior = PRIORS[kind](torch.ones(8, dtype=torch.float64))
        for step in range(12):
            posterior = em.posterior(prior.probabilities(), torch.tensor(log_lik[task, step]))
            prior.update(posterior)
            assert posteriors[task, step] == pytest.approx(posterior.numpy())
            assert beliefs[task, step] == pytest.approx((prior.votes / prior.votes.sum()).numpy())


@pytest.mark.parametrize("prior", PRIORS)
def test_replay_of_recovered_likelihoods_is_the_record(prior):
    log_lik = np.random.default_rng(0).normal(size=(30, 8))
    posteriors, _ = replay(log_lik, prior)
    again, _ = replay(recover_log_likelihoods(posteriors, RunSpec(em={"prior": prior})), prior)
    assert again == pytest.approx(posteriors)


def test_rescaling_goes_both_ways():
    log_lik = np.array([[-10.0, -20.0]])
    single = rescale(log_lik, *LIKELIHOODS, 10)
    assert single == pytest.approx(np.array([[-1.0, -2.0]]))
    assert rescale(single, *LIKELIHOODS[::-1], 10) == pytest.approx(log_lik)


def test_count_prior_locks_the_first_winner_in():
    log_lik = np.log(np.tile([0.30, 0.31, 0.29], (20, 1)))
    log_lik[0] = np.log([0.32, 0.31, 0.29])
    assert last_switch(replay(log_lik, "count")[1]) == 0
    assert last_switch(replay(log_lik, "uniform")[1]) > 0


def test_the_output_stands_without_kernel_network_and_scripts(few):
    output = Explorer(few).output()
    assert set(output) == {"text/plain", "image/png", "text/html"}
    assert base64.b64decode(output["image/png"]).startswith(b"\x89PNG")
    assert output["image/png"] in output["text/html"]  # what a reader sees where scripts may not run
    assert set(re.findall(r"https?:[^\"]*", output["text/html"])) == {
        "http://www.w3.org/2000/svg"
    }  # a name, not a load
    assert "import " not in output["text/html"]
    assert output["text/html"].count("</script>") == 2


def test_the_same_records_give_the_same_output(few):
    assert Explorer(few).output() == Explorer(reversed(few)).output()


def test_the_picture_says_what_it_shows(few):
    finding = Explorer(few).finding
    assert "configuration by task 0111, 0101, 0111" in finding
    assert "planted answer 1100" in finding
    assert f'alt="{finding}"' in Explorer(few).output()["text/html"]


def test_a_run_that_never_chose_has_a_picture_too():
    explorer = Explorer([record("e", method="ewc", base="none")])
    assert explorer.output()["image/png"]
    assert "no transfer configurations" in explorer.finding


def test_a_notebook_takes_the_state_of_the_page(few):
    explorer = Explorer(few, run="ltf1", compare="s0", task=3, layer=4, epoch=2)
    assert explorer.given["selection"] == {"run": "ltf1", "compare": "s0", "task": 3, "layer": 4, "epoch": 2}
    assert (NOTEBOOKS.parent / explorer.given["notebook"]).is_file()


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"run": "x"}, "run = 'x' is none of the 5 runs here"),
        ({"compare": "y"}, "compare = 'y'"),
        ({"task": 4}, "task = 4 is not in this run; choose 1 to 3"),
        ({"layer": 0}, "layer = 0 is not in this run; choose 1 to 4"),
        ({"epoch": "last"}, "epoch = 'last'"),
    ],
)
def test_a_state_that_no_run_has_is_refused_in_one_line(few, given, line):
    with pytest.raises(LasemError, match=line):
        Explorer(few, **given)


def test_nothing_to_explore_is_one_readable_line():
    with pytest.raises(LasemError, match="lasem sweep"):
        Explorer([])


def test_pages_in_executed_notebooks_run_todays_script():
    """Whoever changes the page executes the notebooks that hold one: `lasem reproduce all`."""
    pages = {
        path.name: html
        for path in notebook_files(ROOT / "outputs" / "notebooks").values()
        for cell in nbformat.read(path, 4).cells
        for output in cell.get("outputs", [])
        if 'class="lasem-explorer"' in (html := output.get("data", {}).get("text/html", ""))
    }
    assert len(pages) > 4
    assert [name for name, html in pages.items() if explorer.MODULE not in html] == []


def test_every_file_of_the_page_is_joined_into_the_module():
    assert sorted(path.stem for path in explorer.PAGE.glob("*.js")) == sorted(explorer.PARTS)


def test_the_widget_has_the_same_module_and_data(few):
    explorer = Explorer(few)
    widget = explorer.widget()
    assert widget.bundle == explorer.bundle
    assert widget.selection["run"] == explorer.record.run_id
    assert str(widget._esm) in explorer.output()["text/html"]
