"""At profile recorded: the best that is stored, nothing trained."""

import pytest
from sample_records import record

from lasem_core.runs.store import RunStore
from lasem_core.views import gather
from lasem_core.views.parameters import Options


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """put(name, **spec) stores a record; shown() is the evidence for figure 3; training fails the test."""
    monkeypatch.setattr(gather, "run_sweep", lambda *_, **__: pytest.fail("trained at profile recorded"))
    store = RunStore(tmp_path)

    class Kept:
        def put(self, name, artefact="figure3", dataset="cifar100", profile="quick", exact=False, seed=None, **wanted):
            more = {} if seed is None else {"seed": seed}
            specs = gather.planned([artefact], Options(profile=profile, dataset=dataset))
            spec = next(s for s in specs if all(getattr(s, key) == value for key, value in wanted.items()))
            made = record(name, **(gather._exact(spec) if exact else spec).model_dump() | more)
            store.put(made)

        def shown(self, artefact="figure3", **options):
            return gather.gather(artefact, Options(store=str(tmp_path), **options))

    return Kept()


def _ids(evidence):
    return sorted(made.run_id for made in evidence.records)


def test_nothing_recorded_names_what_quick_would_run(kept):
    evidence = kept.shown()
    assert evidence.records == [] and {spec.profile for spec in evidence.specs} == {"quick"}
    assert evidence.not_run("office-home", "hps").startswith("not run: 18 runs at profile quick")


def test_the_full_schedule_takes_the_place_of_quick_once_it_has_every_method(kept):
    kept.put("qs", method="static", base="hps", config="1111")
    kept.put("ql", method="lasem", base="hps")
    kept.put("ps", method="static", base="hps", config="1111", profile="paper")
    assert _ids(kept.shown()) == ["ql", "qs"]
    assert [made.run_id for made in kept.shown().others] == ["ps"]
    kept.put("pl", method="lasem", base="hps", profile="paper")
    assert _ids(kept.shown()) == ["pl", "ps"]
    assert kept.shown().schedules == "paper"


def test_each_base_stands_for_itself(kept):
    kept.put("p", method="lasem", base="hps", profile="paper")
    kept.put("q", method="lasem", base="tf")
    assert _ids(kept.shown()) == ["p", "q"]


def test_exact_em_stands_in_for_pruned_em(kept):
    kept.put("exact", method="lasem", base="hps", exact=True)
    assert _ids(kept.shown()) == ["exact"]
    kept.put("pruned", method="lasem", base="hps")
    assert _ids(kept.shown()) == ["pruned"]


def test_another_data_set_stands_in_where_two_methods_are_recorded_on_it(kept):
    kept.put("d", "table1", method="darts", base="df-cnn")
    assert _ids(kept.shown("table1")) == []
    kept.put("l", "table1", method="lasem", base="df-cnn")
    assert _ids(kept.shown("table1")) == ["d", "l"]
    assert _ids(kept.shown("table1", dataset="office-home")) == []


def test_the_store_is_read_three_times_whatever_the_artefact_needs(kept, monkeypatch):
    """As a table, and for the specifications of the paper's data sets and of one that stands in."""
    kept.put("d", "table1", method="darts", base="df-cnn")
    kept.put("l", "table1", method="lasem", base="df-cnn")
    lists, documents = [], RunStore._documents
    monkeypatch.setattr(RunStore, "_documents", lambda store: lists.append(store) or documents(store))
    assert _ids(kept.shown("table1")) == ["d", "l"]
    assert len(lists) == 3


def test_trials_beyond_the_plan_count_where_they_are_recorded(kept):
    planned = len(kept.shown().specs)
    kept.put("first", method="lasem", base="hps")
    for seed in (3, 7):
        kept.put(f"more {seed}", seed=seed, method="lasem", base="hps")
    evidence = kept.shown()
    assert _ids(evidence) == ["first", "more 3", "more 7"]
    assert len(evidence.specs) == planned + 2 and len(evidence.missing) == planned - 1
    assert _ids(kept.shown(seeds=[0])) == ["first"]
