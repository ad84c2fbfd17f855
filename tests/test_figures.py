"""Every figure draws what it is given, says 'not run' where there is nothing, and leaves PNG, SVG and CSV."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sample_records import record

from lasem_core.spec.configs import static_set
from lasem_core.spec.run_spec import RunSpec
from lasem_core.views import canvas, drawings, figures, one_run, tables
from lasem_core.views.evidence import Evidence, layer_frequency


def _evidence(artefact="figure3", missing=()):
    kinds = [{"method": "static", "config": str(c)} for c in static_set(4).values()] + [{"method": "lasem"}]
    records = [
        record(f"{base}{number}{seed}", 0.3 + 0.01 * number + 0.002 * seed, base=base, seed=seed, dataset="cifar100",
               profile="quick", **kind)
        for base in ("hps", "df-cnn")
        for number, kind in enumerate(kinds)
        for seed in range(3)
    ]  # fmt: skip
    return Evidence(artefact, "quick", [r.spec for r in records] + list(missing), records)


@pytest.fixture(scope="module")
def evidence():
    return _evidence(missing=[RunSpec(dataset="office-home", base="hps", profile="quick")])


VIEWS = [figures.static_configurations, figures.lasem_against_static, figures.layer_frequencies,
         figures.fixed_posterior, figures.forgetting_curves, figures.chosen_configurations, figures.layer_shares,
         figures.memory]  # fmt: skip


@pytest.mark.parametrize("view", VIEWS)
def test_figure_is_drawn_and_missing_panels_say_so(view, evidence):
    figure = view(evidence)
    words = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "not run" in " ".join(words)
    picture = canvas.png(figure)
    assert np.asarray(Image.open(_file(picture)).convert("L")).std() > 10


@pytest.mark.parametrize("view", VIEWS)
def test_figure_of_no_records_at_all(view):
    nothing = Evidence("figure3", "quick", [RunSpec(dataset="office-home", profile="quick")], [])
    assert any("not run" in text.get_text() for axes in view(nothing).axes for text in axes.texts)


def _file(data):
    import io

    return io.BytesIO(data)


def test_accuracies_are_percent_only_on_the_axis(evidence):
    axes = figures.static_configurations(evidence).axes[0]
    assert axes.get_xlabel().endswith("(%)")
    low, high = axes.get_xlim()
    assert 0 < low < high < 1
    assert axes.xaxis.get_major_formatter()(0.393, 0) == "39.3"


def test_saved_pictures_repeat_byte_for_byte(evidence, tmp_path):
    first = [p.read_bytes() for p in canvas.save(figures.layer_shares(evidence), "a", evidence.choices, tmp_path)]
    second = [p.read_bytes() for p in canvas.save(figures.layer_shares(evidence), "a", evidence.choices, tmp_path)]
    assert first == second
    assert sorted(p.name for p in (tmp_path / "figures").iterdir()) == ["a.csv", "a.png", "a.svg"]
    assert len(pd.read_csv(tmp_path / "figures" / "a.csv")) == len(evidence.choices)


def test_a_picture_of_few_colours_is_small_and_shows_the_same(evidence):
    figure, whole = figures.static_configurations(evidence), io.BytesIO()
    with canvas.style():
        figure.savefig(whole, format="png", dpi=100)
    small = canvas.png(figure)
    one, other = (np.asarray(Image.open(_file(data)).convert("RGB"), int) for data in (whole.getvalue(), small))
    assert np.abs(one - other).max() <= 16 and len(small) < len(whole.getvalue()) / 2


def test_layer_frequency_is_the_share_of_final_choices():
    choices = _evidence().choices
    share = layer_frequency(choices[choices["base"] == "hps"]).groupby("layer")["transferred"].mean()
    assert share.tolist() == pytest.approx([0, 1, 2 / 3, 1])  # 0111 0101 0111


def test_best_restricted_configuration(evidence):
    assert figures.best_restricted(evidence.runs) == {("cifar100", b): "alternating" for b in ("hps", "df-cnn")}


def test_a_lone_static_run_is_not_called_the_best():
    lone = [record("a", method="static", config="all"), record("b", method="lasem")]
    figure = figures.forgetting_curves(Evidence("figure7", "smoke", [r.spec for r in lone], lone))
    assert _legend(figure) == ["all layers", "LASEM"]
    assert {line.get_color() for line in figure.axes[0].lines} >= {canvas.ALL, canvas.LASEM}


def _legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_papers_accuracies_stand_in_the_picture_where_it_prints_them(evidence):
    figure = figures.lasem_against_static(evidence)
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "D" and abs(line.get_xdata()[0]) < 0.5]
    assert [mark.get_ydata()[0] for mark in marks] == pytest.approx([0.247, 0.393])
    assert marks[0].get_xdata()[0] < 0 < marks[1].get_xdata()[0]  # beside each other, as ours
    assert _legend(figure)[-1] == "paper, full schedule"
    embedded = Evidence("figure3", "smoke", [RunSpec()], [record("a")])
    assert not any("paper" in text for text in _legend(figures.lasem_against_static(embedded)))
    assert _legend(figures.lasem_against_static(embedded)) == ["static: all layers", "LASEM"]  # no range was drawn


def test_the_two_searches_of_appendix_e_stand_apart():
    kind = {"dataset": "stl10-group", "base": "df-cnn", "profile": "quick"}
    made = [record("g", configs=["111000000"], em={"groups": "1,2,3|4,5,6|7,8,9"}, **kind)]
    made.append(record("l", configs=["000000000"], em={"groups": ""}, **kind))
    grouped, single = figures.searches(Evidence("appendix_e", "quick", [r.spec for r in made], made)).axes
    heights = [[bar.get_height() for bar in axes.containers[0]] for axes in (grouped, single)]
    assert heights == [[1.0] * 3 + [0.0] * 6, [0.0] * 9]
    assert (grouped.get_title(), single.get_title()) == ("groups of layers", "layer by layer")


def test_configurations_that_were_not_run_say_so(evidence):
    spec = RunSpec(dataset="cifar100", profile="quick", method="static", config="0110")
    axes = figures.static_configurations(_evidence(missing=[spec])).axes[0]
    assert [text.get_position()[1] for text in axes.texts if text.get_text() == "not run"] == [8]
    assert axes.get_yticklabels()[8].get_text() == "0110"


def test_pictures_say_what_they_are_made_of(evidence):
    assert evidence.caption == "profile quick; mean over 3 trials, 95 % t-interval"
    assert figures.layer_shares(evidence).get_suptitle() == "profile quick; mean over 3 trials"  # it draws none
    smoke = Evidence("figure4", "smoke", [RunSpec()], [record("a")])
    assert smoke.caption == "profile smoke; one trial, no interval; says nothing about the paper"
    assert Evidence("figure4", "quick", [], []).caption == "profile quick; no records"
    assert one_run.choices(record("a")).get_suptitle() == "Planted tasks, LASEM HPS, profile smoke, seed 0"


@pytest.mark.parametrize("table", ["runs", "choices", "forgetting"])
def test_tables_behind_pictures_name_profile_and_data(evidence, table):
    assert {"profile", "dataset"} <= set(getattr(evidence, table))


def test_interval_of_one_trial_is_the_value_itself():
    assert canvas.interval([0.4]) == (0.4, 0.4)
    low, high = canvas.interval([0.3, 0.4, 0.5])
    assert high - low == pytest.approx(2 * 4.302653 * 0.1 / 3**0.5)


def test_run_figures():
    one = record("a", seed=1)
    for view in (one_run.choices, one_run.transfer_over_time, one_run.first_minibatches,
                 one_run.accuracy_matrix):  # fmt: skip
        assert len(canvas.png(view(one))) > 2000


def test_last_switches_names_the_switches():
    table = one_run.last_switches([_with_weights(record("a", em={"likelihood": "mean", "rollback": False}))])
    assert table["switches"].tolist() == ["mean / count, no roll-back"]
    assert table["last switch by task"].tolist() == [[0, 0, 0]]


def _with_weights(one):
    one.history["max_weight"] = 0.9
    return one


def test_convergence_of_one_likelihood_leaves_the_other_panel_empty():
    figure = one_run.convergence([_with_weights(record("a"))])
    assert figure.axes[1].texts[0].get_text() == "not run"


@pytest.mark.parametrize(
    ("base", "total"), [("hps", (65568, 65568, 0)), ("tf", (65568, 65376, 14164)), ("df-cnn", (65568, 548, 0))]
)
def test_drawn_sizes_are_those_of_the_network(base, total):
    table = drawings.parameter_table("cifar100", base)
    assert table["task-specific"].sum() == total[0]
    if base == "hps":
        assert table["shared"].sum() == total[1]
        assert table["adapter"].sum() == 0


def test_drawings():
    assert len(canvas.png(drawings.transfer_configuration("{2,4}"))) > 5000
    assert len(canvas.png(drawings.task_networks())) > 5000
    assert drawings.parameters_of_table2().loc["epochs"].tolist() == [2000, 1000, 500]


def test_beside_paper_shows_the_paper_even_without_records():
    figure = figures.beside_paper(tables.comparison(Evidence("table1", "smoke", [], [])))
    assert len(figure.axes) == 2


def test_caption_names_data_that_are_not_the_official_ones():
    title = "STL-10 (9-class subset, not the official split)"
    run = record("s", dataset="stl10", base="hps", profile="quick", title=title, configs=["011000"] * 3)
    assert title in Evidence("figure3", "quick", [run.spec], [run]).caption
    assert "official" not in Evidence("figure3", "quick", [], [record("t", dataset="cifar100")]).caption


def test_convergence_has_a_panel_per_likelihood_and_base_and_a_line_per_prior():
    """Whatever the number of trials and M-steps: only what the panel is about enters it."""
    runs = [
        _with_weights(record(f"{base}{prior}{seed}", base=base, seed=seed, em={"prior": prior}))
        for base in ("hps", "df-cnn") for prior in ("count", "uniform") for seed in (0, 1)
    ]  # fmt: skip
    figure = one_run.convergence([*runs, _with_weights(record("more", em={"m_steps": 5}))])
    assert {axes.get_title() for axes in figure.axes} >= {"joint likelihood, HPS", "joint likelihood, DF-CNN"}
    assert len(figure.axes) == 4
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    assert [[text.get_text() for text in legend.texts] for legend in legends] == [["count", "uniform"]] * 2
    assert "n = 2" in figure.get_suptitle()


def test_roll_back_pairs_differ_in_nothing_else():
    runs = [record(f"{rollback}{seed}", 0.4 + 0.1 * rollback, seed=seed, em={"rollback": rollback})
            for rollback in (True, False) for seed in (0, 1)]  # fmt: skip
    runs.append(record("more", em={"m_steps": 2}))
    table = tables.rollback_pairs(Evidence("dynamics", "quick", [r.spec for r in runs], runs))
    assert table["roll-back"].tolist() == ["yes", "no"] and table["final accuracy"].str.contains("n=2").all()
