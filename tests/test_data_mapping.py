"""Large arrays are unpacked once per machine and mapped; what a reader gets is the same."""

import numpy as np
import pytest

from lasem_core.data import cache, npz


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(npz, "LARGE", 1000)
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    np.savez_compressed(tmp_path / "x.npz", images=images, names=np.array(["a", "b"]))
    return tmp_path / "x.npz"


def read(path):
    return npz.mapped_arrays(path, ("images", "names"))


def unpacked(path):
    return cache.user_cache() / "arrays" / npz.npz_fingerprint(path) / "images.npy"


def test_a_large_array_is_a_map_and_a_small_one_is_not(prepared):
    found, plain = read(prepared), npz.read_arrays(prepared, ("images", "names"))
    assert isinstance(found["images"], np.memmap) and not isinstance(found["names"], np.memmap)
    assert all(np.array_equal(found[name], plain[name]) for name in plain)


def test_it_is_unpacked_once(prepared, monkeypatch):
    read(prepared)
    monkeypatch.setattr(npz, "_unpack", None)
    read(prepared)


def test_a_reader_cannot_change_what_others_read(prepared):
    read(prepared)["images"][0] = 0
    assert read(prepared)["images"][0].any()


def test_other_images_are_unpacked_beside(prepared):
    before = read(prepared)["images"].copy()
    np.savez_compressed(prepared, images=before[::-1], names=np.array(["a", "b"]))
    assert np.array_equal(read(prepared)["images"], before[::-1])


@pytest.mark.parametrize("left", [0, 50, 2000])
def test_a_file_cut_short_is_made_again(prepared, left):
    whole = read(prepared)["images"].copy()
    with unpacked(prepared).open("r+b") as file:
        file.truncate(left)
    assert np.array_equal(read(prepared)["images"], whole)  # from the prepared file, the cut one is gone
    assert isinstance(read(prepared)["images"], np.memmap)


def test_without_a_home_it_is_read_into_memory(prepared, monkeypatch):
    monkeypatch.setattr(npz, "user_cache", lambda: None)
    assert not isinstance(read(prepared)["images"], np.memmap)


def test_without_a_cache_folder_it_is_read_into_memory(prepared, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(prepared))  # a file, no folder can be made in it
    found = read(prepared)["images"]
    assert not isinstance(found, np.memmap) and found.shape == (40, 8, 8, 3)
