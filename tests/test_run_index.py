"""Every recorded run in one table, offline, under the names people read."""

from sample_records import record

from lasem_core.runs.store import RunStore
from lasem_core.views import run_index


def _index(tmp_path):
    store = RunStore(tmp_path)
    store.put(record("c", 0.4, dataset="cifar100", profile="quick", base="df-cnn"))
    store.put(record("p", 0.812, method="static", config="top3", profile="quick", stream={"relatedness": "high"}))
    return run_index.run_index(store)


def test_runs_with_a_known_answer_come_first_by_full_names(tmp_path):
    table = _index(tmp_path)
    assert table.index.tolist() == ["p", "c"]
    assert table["data"].tolist() == ["Planted tasks", "CIFAR-100"]
    assert table["tasks have in common"].tolist() == ["high", ""]
    assert table["configuration"].tolist() == ["0111 (top3)", ""]
    assert table["peak at best validation (%)"].tolist() == [81.2, 40.0]


def test_an_empty_store_has_an_empty_index(tmp_path):
    assert run_index.run_index(RunStore(tmp_path)).empty


def test_the_page_holds_every_run_and_its_library(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(run_index, "display", lambda bundle, raw: shown.append(bundle))
    for _ in range(2):
        run_index.show_runs(_index(tmp_path))
    assert shown[0] == shown[1]
    assert shown[0]["text/plain"] == "[2 runs]"
    assert "0111 (top3)" in shown[0]["text/html"] and 'src="http' not in shown[0]["text/html"]
