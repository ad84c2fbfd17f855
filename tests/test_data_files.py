"""CIFAR-100 and STL-10 from prepared files: generated ones everywhere, the real ones where LASEM_DATA has them."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch.utils._python_dispatch import TorchDispatchMode

from lasem_core.common.errors import LasemError
from lasem_core.data import fingerprint, load_stream, prepare
from lasem_core.data.cifar100 import TASK_CLASSES
from lasem_core.data.pixels import Noise, Pixels
from lasem_core.data.stl10 import class_sets, noise_parameters
from lasem_core.spec.run_spec import RunSpec


def write(path, classes, side, train, test, **changes):
    """A prepared file with random images; `changes` replace arrays, None leaves one out."""
    random = np.random.default_rng(0)
    content = {}
    for split, per_class in (("train", train), ("test", test)):
        content[f"x_{split}"] = random.integers(0, 256, (classes * per_class, side, side, 3), dtype=np.uint8)
        content[f"y_{split}"] = np.tile(np.arange(classes, dtype=np.uint8), per_class)
    content["class_names"] = np.array([f"class{k}" for k in range(classes)])
    content |= changes
    np.savez(path, **{name: array for name, array in content.items() if array is not None})
    return path.parent


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    return write(tmp_path_factory.mktemp("cifar") / "cifar100.npz", 100, 32, 100, 2)


@pytest.fixture(scope="module")
def stl(tmp_path_factory):
    return write(tmp_path_factory.mktemp("stl") / "stl10.npz", 9, 96, 8, 2)


def real(name):
    folder = os.environ.get("LASEM_DATA")
    if not folder or not (Path(folder) / f"{name}.npz").is_file():
        pytest.skip(f"needs {name}.npz in LASEM_DATA")
    return Path(folder)


def spec(dataset, seed=0, preset="paper", **stream):
    return RunSpec(dataset=dataset, profile="quick", preset=preset, seed=seed, stream=stream)


def sizes(task):
    return [len(task.train), len(task.valid), len(task.test)]


def rows(task):
    return {image.numpy().tobytes() for split in (task.train, task.valid) for image in split.images}


def test_the_class_lists_are_a_partition():
    assert sorted(k for task in TASK_CLASSES for k in task) == list(range(100))


@pytest.mark.parametrize(("name", "read"), [("CIFAR100", prepare._cifar100), ("STL10", prepare._stl10)])
@pytest.mark.parametrize("given", ["", "its own folder"])
def test_an_official_release_may_be_given_as_its_own_folder(tmp_path, monkeypatch, name, read, given):
    asked = []

    class Official(getattr(torchvision.datasets, name)):
        def __init__(self, root, **_):
            asked.append(root)
            raise RuntimeError

    monkeypatch.setattr(torchvision.datasets, name, Official)
    with pytest.raises(RuntimeError):
        read(tmp_path / Official.base_folder if given else tmp_path, False)
    assert asked == [tmp_path]


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_cifar_counts_names_and_statistics(cifar, preset):
    stream = load_stream(spec("cifar100", preset=preset), cifar)
    assert [sizes(task) for task in stream.tasks] == [[170, 30, 20]] * 10
    assert stream.tasks[1].classes[0] == "class30"
    assert stream.image_shape == (3, 32, 32)
    test_mean = stream.tasks[0].test.images.mean((0, 2, 3)).abs().max()
    assert (test_mean < 1e-5) == (preset == "released")


def test_cifar_trials_are_disjoint_and_released_trials_are_the_same(cifar):
    options = {"n_tasks": 1, "normalisation": "none"}
    trials = [rows(load_stream(spec("cifar100", seed, **options), cifar).tasks[0]) for seed in range(5)]
    assert len(set().union(*trials)) == 5 * 200
    first, second = (load_stream(spec("cifar100", seed, "released"), cifar).content_hash() for seed in (0, 1))
    assert first == second


def test_cifar_classes_per_task_cuts_the_same_sequence(cifar):
    stream = load_stream(spec("cifar100", classes_per_task=20, n_tasks=5), cifar)
    assert stream.tasks[0].classes[10] == "class30"
    with pytest.raises(LasemError, match="use at most 5"):
        load_stream(spec("cifar100", classes_per_task=20, n_tasks=6), cifar)


def test_the_real_cifar_has_170_30_1000():
    stream = load_stream(spec("cifar100"), real("cifar100"))
    assert [sizes(task) for task in stream.tasks] == [[170, 30, 1000]] * 10


def small(preset="paper", seed=0, **stream):
    return spec("stl10", seed, preset, fraction=0.016, **stream)  # 8 images per class


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_stl_class_sets_are_distinct_and_the_title_is_honest(stl, preset):
    stream = load_stream(small(preset), stl)
    assert len({frozenset(task.classes) for task in stream.tasks}) == 20
    assert stream.title == "STL-10 (9-class subset, not the official split)"
    assert sizes(stream.tasks[0]) == [18, 6, 6]
    assert stream.tasks[0].train.images.dtype == torch.uint8


def test_stl_trials_share_tasks_but_not_noise(stl):
    first, second = (load_stream(small("released", seed), stl) for seed in (0, 1))
    for a, b in zip(first.tasks, second.tasks, strict=True):
        assert a.classes == b.classes
        assert a.train.prepare.channels == b.train.prepare.channels
        assert a.train.prepare.noise.std == b.train.prepare.noise.std
        assert a.train.prepare.noise.key != b.train.prepare.noise.key
    assert first.content_hash() != second.content_hash()


def test_stl_tasks_share_one_pool(stl):
    tasks = load_stream(small(), stl).tasks
    assert len({task.train.images.data_ptr() for task in tasks}) == 1


def splits(stream):
    return [split for task in stream.tasks for split in (task.train, task.valid, task.test)]


@pytest.mark.parametrize("part", [lambda stream: stream, lambda stream: stream.tasks[0]], ids=["stream", "task"])
def test_what_shared_storage_shares_it_on_another_device(stl, part):
    stream = load_stream(small(), stl)
    whole = part(stream)
    moved = whole.to(torch.device("meta"))
    before, after = (splits(s) if hasattr(s, "tasks") else [s.train, s.valid, s.test] for s in (whole, moved))
    storages = [split.images.untyped_storage().data_ptr() for split in before]
    for a, storage in zip(after, storages, strict=True):
        for b, other in zip(after, storages, strict=True):
            assert (a.images is b.images) == (storage == other)
    assert all(t.device.type == "meta" for split in after for t in (split.images, split.labels, split.rows))
    assert after[0].images.stride() == before[0].images.stride()
    images, labels = after[0].batch(torch.arange(3, device="meta"))
    assert images.device.type == labels.device.type == "meta"


def test_moving_to_the_same_device_copies_nothing(stl):
    stream = load_stream(small(), stl)
    for before, after in zip(splits(stream), splits(stream.to(torch.device("cpu"))), strict=True):
        assert before.images is after.images and before.labels is after.labels and before.rows is after.rows
        assert before.prepare is after.prepare


class Operations(TorchDispatchMode):
    """Counts what torch carries out."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names.append(str(function))
        return function(*args, **(kwargs or {}))


def test_a_batch_makes_no_tensor_from_python_numbers():
    pixels = Pixels(-0.5, Noise(0.1, 0.05, 3), (1, 0, 2), (0.1, 0.2, 0.3), (1.0, 2.0, 3.0))
    images, index = torch.zeros(4, 3, 8, 8, dtype=torch.uint8), torch.arange(4)
    pixels(images, index)  # the first batch makes the constants
    with Operations() as seen:
        pixels(images, index)
    assert "aten.div.Tensor" in seen.names
    assert not [name for name in seen.names if "lift" in name]  # how torch.tensor and new_tensor begin


def test_kept_statistics_are_the_same_bits():
    centre, spread = (0.1, 1 / 3, 0.7), (0.2, 1e-3, 3.0)
    images = torch.arange(192, dtype=torch.uint8).view(1, 3, 8, 8)
    plain = Pixels()(images, torch.tensor([0])).permute(0, 2, 3, 1)
    expected = (plain - plain.new_tensor(centre)) / plain.new_tensor(spread)
    ours = Pixels(centre=centre, spread=spread)(images, torch.tensor([0]))
    assert torch.equal(ours, expected.permute(0, 3, 1, 2))


@pytest.mark.parametrize(("preset", "means", "stds"), [
    ("paper", {-0.1, -0.05, 0, 0.05, 0.1}, {0, 0.05, 0.1}),
    ("released", {-0.05, -0.025, 0, 0.025}, {0, 0.025}),
])  # fmt: skip
def test_noise_parameters_come_from_the_published_sets(preset, means, stds):
    drawn = [noise_parameters(spec("stl10", preset=preset), t) for t in range(200)]
    assert {mean for mean, _ in drawn} == means
    assert {std for _, std in drawn} == stds


@pytest.mark.parametrize("mean, std", [(0.1, 0.05), (-0.05, 0.1), (0.025, 0.0)])
def test_noise_has_the_statistics_it_names_and_stays_with_its_image(mean, std):
    grey = torch.full((16, 3, 96, 96), 128, dtype=torch.uint8)
    pixels = Pixels(-0.5, Noise(mean, std, 17))
    noisy = pixels(grey, torch.arange(16))
    added = noisy - (128 / 255 - 0.5)
    assert added.mean().item() == pytest.approx(mean, abs=1e-3)
    assert added.std().item() == pytest.approx(std, abs=1e-3)
    assert torch.equal(pixels(grey[:2], torch.tensor([9, 3])), noisy[[9, 3]])
    assert std == 0 or not torch.equal(noisy[0], noisy[1])


def test_noise_is_clipped_and_channels_move():
    image = torch.tensor([0, 128, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    clipped = Pixels(-0.5, Noise(0.1, 0.3, 1))(image, torch.tensor([0]))
    assert clipped.min() == -0.5 and clipped.max() == 0.5
    swapped = Pixels(-0.5, None, (2, 0, 1))(image, torch.tensor([0]))
    assert swapped[0, :, 0, 0].tolist() == pytest.approx([0.5, -0.5, 128 / 255 - 0.5], abs=1e-6)


def test_a_preparation_is_a_picklable_value():
    pixels = Pixels(-0.5, Noise(0.1, 0.05, 3), (1, 0, 2))
    assert pickle.loads(pickle.dumps(pixels)) == pixels


@pytest.mark.parametrize("statistics", ["train", "split"])
def test_statistics_of_prepared_pixels(stl, statistics):
    task = load_stream(small(n_tasks=1, normalisation=statistics, noise="none"), stl).tasks[0]
    train = task.train.batch(torch.arange(len(task.train)))[0]
    assert train.mean((0, 2, 3)).abs().max() < 1e-4
    assert train.std((0, 2, 3)).sub(1).abs().max() < 1e-3
    test = task.test.batch(torch.arange(len(task.test)))[0]
    assert (test.mean((0, 2, 3)).abs().max() < 1e-4) == (statistics == "split")


def test_class_sets_never_repeat_even_when_all_are_needed():
    sets = class_sets(10, 3, 5, "stl10")
    assert len({frozenset(s) for s in sets}) == 10


def test_real_stl_counts():
    folder = real("stl10")
    stream = load_stream(spec("stl10"), folder)
    group = load_stream(spec("stl10-group"), folder)
    assert [sizes(task)[:2] for task in stream.tasks] == [[318, 57]] * 20
    assert [sizes(task)[:2] for task in group.tasks] == [[125, 125]] * 15
    assert fingerprint(spec("stl10"), folder) == fingerprint(spec("stl10-group"), folder)


def test_too_few_classes_for_a_task(stl):
    with pytest.raises(LasemError, match="this STL-10 file has 9 classes"):
        load_stream(small(classes_per_task=10), stl)


def test_the_fingerprint_follows_the_content_not_the_compression(tmp_path, cifar):
    with np.load(cifar / "cifar100.npz") as archive:
        content = dict(archive)
    np.savez_compressed(tmp_path / "cifar100.npz", **content)
    before = fingerprint(spec("cifar100"), cifar)
    assert fingerprint(spec("cifar100"), tmp_path) == before
    content["x_train"][0, 0, 0, 0] ^= 1
    np.savez(tmp_path / "cifar100.npz", **content)
    assert fingerprint(spec("cifar100"), tmp_path) != before


def test_missing_data_name_the_command(tmp_path, monkeypatch):
    with pytest.raises(LasemError, match=f"cifar100 is not in {tmp_path}; run `lasem data prepare cifar100 --data"):
        load_stream(spec("cifar100"), tmp_path)
    monkeypatch.delenv("LASEM_DATA", raising=False)
    with pytest.raises(LasemError, match="set LASEM_DATA"):
        fingerprint(spec("stl10"))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"x_test": None}, "no array x_test"),
        ({"x_train": np.zeros((200, 32, 32, 3), np.float32)}, "dtype float32"),
        ({"x_train": np.zeros((200, 28, 28, 3), np.uint8)}, "has shape"),
        ({"y_train": np.zeros(7, np.uint8)}, "y_train is"),
        ({"y_test": np.zeros(200, np.uint8)}, "must hold every label"),
        ({"y_test": np.arange(-1, 199)}, "must hold every label"),
        ({"y_train": np.uint8(3)}, "y_train is"),
        ({"x_train": np.zeros((0, 32, 32, 3), np.uint8), "y_train": np.zeros(0, np.uint8)}, "x_train is empty"),
        ({"x_train": np.array(7, np.uint8)}, "has shape"),
        ({"class_names": np.array([object()] * 100)}, "not a readable npz file"),
        ({"class_names": np.zeros(0, str)}, "class_names is"),
        ({"class_names": np.array("apple")}, "class_names is"),
        ({"class_names": np.full((100, 1), "apple")}, "class_names is"),
        ({"class_names": np.arange(100)}, "class_names is int64"),
        ({"class_names": np.full(100, b"apple")}, "class_names is"),
        ({"class_names": np.full(99, "apple")}, "must hold every label 0..98"),
    ],
)
def test_a_wrong_file_is_named_with_its_problem(tmp_path, changes, problem):
    write(tmp_path / "cifar100.npz", 100, 32, 2, 2, **changes)
    with pytest.raises(LasemError, match=problem) as caught:
        load_stream(spec("cifar100"), tmp_path)
    assert "cifar100.npz" in str(caught.value)
    assert "\n" not in str(caught.value)


def npy(shape, held=0, dtype="|u1"):
    """An npy file whose header says `shape` while `held` bytes follow."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(held)


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (npy((10**12, 32, 32, 3)), "shape .* takes 3072000000000000 bytes, it holds 0"),
        (npy((100, 32, 32, 3), 50), "it holds 50"),
        (npy((-2, -3, 1, 1), 6), "shape"),
        (npy((10**12,), dtype="|S0"), "x_train: shape"),
        (npy((100,), 100).replace(b"shape", b"shale"), "x_train"),
        (b"\x93NUMPY\x09\x00" + bytes(80), r"npy format \(9, 0\)"),
        (b"not an array", "x_train"),
        (b"", "x_train"),
    ],
)
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_that_is_no_array_or_an_absurd_one_is_named(tmp_path, member, problem, method):
    write(tmp_path / "cifar100.npz", 100, 32, 2, 2, x_train=None)
    with zipfile.ZipFile(tmp_path / "cifar100.npz", "a", method) as archive:
        archive.writestr("x_train.npy", member)
    with pytest.raises(LasemError, match=rf"cifar100\.npz.*{problem}") as caught:
        load_stream(spec("cifar100"), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_cifar_file_with_too_few_classes_is_named(tmp_path):
    write(tmp_path / "cifar100.npz", 20, 32, 2, 2)
    with pytest.raises(LasemError, match=r"cifar100\.npz: class_names has 20 classes, CIFAR-100 has 100"):
        load_stream(spec("cifar100"), tmp_path)


def test_a_single_array_is_no_npz_file(tmp_path):
    with (tmp_path / "cifar100.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(LasemError, match=r"cifar100\.npz is not a readable npz file"):
        load_stream(spec("cifar100"), tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_file_is_named(tmp_path, cifar, share):
    whole = (cifar / "cifar100.npz").read_bytes()
    (tmp_path / "cifar100.npz").write_bytes(whole[: int(share * len(whole))])
    for look in (load_stream, fingerprint):
        with pytest.raises(LasemError, match=r"cifar100\.npz is not a readable npz file"):
            look(spec("cifar100"), tmp_path)


def test_damaged_content_is_found(tmp_path, cifar, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # no copy from before it was damaged
    whole = bytearray((cifar / "cifar100.npz").read_bytes())
    whole[len(whole) // 2] ^= 255
    (tmp_path / "cifar100.npz").write_bytes(whole)
    with pytest.raises(LasemError, match="not a readable npz file"):
        load_stream(spec("cifar100"), tmp_path)
