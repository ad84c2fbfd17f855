"""What reading an image folder leaves behind: nothing beside the data, and nothing it could not do without."""

from pathlib import Path

import pytest
from test_data_folders import picture, spec, write_tree

from lasem_core.common.errors import LasemError
from lasem_core.data import cache, fingerprint, image_tree, load_stream, notes
from lasem_core.data.prepare import prepare

CALTECH = spec("caltech101", n_tasks=2, classes_per_task=2)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cache.tempfile, "tempdir", str(tmp_path))
    cache._temporary.cache_clear()
    yield
    cache._temporary.cache_clear()


@pytest.fixture
def home(tmp_path):
    write_tree(tmp_path / "data" / "caltech101")
    return tmp_path / "data"


def cached(tmp_path):
    return list((tmp_path / "cache" / "lasem").glob("*.npz"))


def without_a_home(monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", unknown)


def with_a_cache_in_a_file(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", __file__)


def with_a_cache_that_cannot_be_written(monkeypatch):
    monkeypatch.setattr(cache.os, "access", lambda *_: False)  # root may write anywhere


WITHOUT_A_CACHE = [without_a_home, with_a_cache_in_a_file, with_a_cache_that_cannot_be_written]


@pytest.mark.parametrize("mode", [0o755, 0o555])
def test_reading_writes_nothing_into_the_data_folder(tmp_path, home, mode):
    before = sorted(home.rglob("*"))
    home.chmod(mode)
    load_stream(CALTECH, home)
    fingerprint(CALTECH, home)
    assert sorted(home.rglob("*")) == before
    assert len(cached(tmp_path)) == 1


def test_a_prepared_file_beside_the_data_is_used_while_it_fits_and_never_written(tmp_path, home):
    made = prepare("caltech101", home, home / "caltech101").path
    content, before = made.read_bytes(), fingerprint(CALTECH, home)
    assert cached(tmp_path) == []
    picture(home / "caltech101" / "class_0" / "0.png", 999)
    assert fingerprint(CALTECH, home) != before
    assert len(cached(tmp_path)) == 1 and made.read_bytes() == content


def test_the_fingerprint_does_not_say_where_the_prepared_file_lies(tmp_path, home):
    from_cache = fingerprint(CALTECH, home)
    prepare("caltech101", home, home / "caltech101")
    assert fingerprint(CALTECH, home) == from_cache


@pytest.mark.parametrize("lack", WITHOUT_A_CACHE)
def test_without_a_cache_the_images_are_read_once_per_process(home, monkeypatch, caplog, lack):
    expected, content = fingerprint(CALTECH, home), load_stream(CALTECH, home).content_hash()
    lack(monkeypatch)
    for path in (home.parent / "cache" / "lasem").glob("*.npz"):
        path.unlink()
    assert fingerprint(CALTECH, home) == expected
    monkeypatch.setattr(image_tree, "prepare", None)
    assert load_stream(CALTECH, home).content_hash() == content
    assert notes(CALTECH, home) == ()
    assert len(caplog.records) == 1 and "XDG_CACHE_HOME" in caplog.text


def test_a_cache_that_cannot_be_written_is_still_read(home, monkeypatch):
    before = fingerprint(CALTECH, home)
    monkeypatch.setattr(image_tree, "prepare", None)
    with_a_cache_that_cannot_be_written(monkeypatch)
    assert fingerprint(CALTECH, home) == before


@pytest.mark.parametrize("lack", WITHOUT_A_CACHE)
def test_without_any_folder_to_write_it_is_one_line(home, monkeypatch, lack):
    def refuse(**_):
        raise FileNotFoundError(2, "No usable temporary directory found")

    lack(monkeypatch)
    monkeypatch.setattr(cache.tempfile, "mkdtemp", refuse)
    with pytest.raises(LasemError, match="set XDG_CACHE_HOME to a folder that can be written") as caught:
        load_stream(CALTECH, home)
    assert "\n" not in str(caught.value)


def test_an_empty_xdg_cache_home_means_none(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.user_cache() == tmp_path / ".cache" / "lasem"


def test_a_home_that_is_not_there_is_named(monkeypatch):
    with pytest.raises(LasemError, match="~nobody-of-this-name/data: there is no such home folder"):
        load_stream(CALTECH, "~nobody-of-this-name/data")
