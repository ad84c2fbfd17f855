"""Image folders, Caltech-101 and Office-Home on generated trees; the real Caltech-101 where LASEM_DATA has it."""

import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lasem_core.common.errors import LasemError
from lasem_core.data import fingerprint, image_tree, load_stream, notes, office_home
from lasem_core.data.prepare import prepare
from lasem_core.spec.run_spec import RunSpec

MODES = ("RGB", "L", "RGBA", "CMYK", "P", "LA", "1", "I;16")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def picture(path, number, mode="RGB", size=(9, 7)):
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(number)
    image = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    image = image.convert("L").convert("I;16") if mode == "I;16" else image.convert(mode)
    image.save(path)


def write_tree(root, classes=4, images=6):
    for k in range(classes):
        for i in range(images):
            picture(root / f"class_{k}" / f"{i}.png", 100 * k + i, size=(5 + i, 4 + k))
    return root


def official_office_home(root, images=4, domains=("Art", "Clipart", "Product", "Real World")):
    for d, domain in enumerate(domains):
        for k, name in enumerate(office_home.CLASSES):
            for i in range(images if domain in office_home.DOMAINS else 1):
                picture(root / domain / name / f"{i:05}.jpg", d * 1000 + k * 10 + i, "L" if k == 3 else "RGB")
    (root / "ImageInfo.csv").write_text("Domain,Class\n")
    return root


def spec(dataset="folder", seed=0, **stream):
    stream = {"n_tasks": 2, "classes_per_task": 2} | stream if dataset == "folder" else stream
    return RunSpec(dataset=dataset, profile="paper", seed=seed, stream=stream)


def sizes(task):
    return [len(task.train), len(task.valid), len(task.test)]


def test_a_folder_becomes_a_stream(tmp_path):
    stream = load_stream(spec(), write_tree(tmp_path / "pets"))
    assert stream.title == "pets"
    assert [task.classes for task in stream.tasks] == [("class 0", "class 1"), ("class 2", "class 3")]
    assert sizes(stream.tasks[0]) == [6, 2, 2]  # int(0.6 * 6), at least one, int(0.3 * 6), times two classes
    images, labels = stream.tasks[0].train.batch(torch.arange(6))
    assert images.shape == (6, 3, 128, 128) and images.dtype == torch.float32
    assert 0 <= images.min() <= images.max() <= 1
    assert labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_seeds_split_differently_but_keep_the_classes(tmp_path):
    root = write_tree(tmp_path / "pets")
    first, again, other = (load_stream(spec(seed=seed), root) for seed in (0, 0, 1))
    assert first.content_hash() == again.content_hash() != other.content_hash()
    assert first.tasks[0].classes == other.tasks[0].classes


def test_domains_are_an_upper_level(tmp_path):
    for domain in ("photo", "sketch"):
        write_tree(tmp_path / "pets" / domain)
    stream = load_stream(spec(n_tasks=4), tmp_path / "pets")
    assert [task.name for task in stream.tasks][1:3] == ["photo task 2", "sketch task 3"]
    with pytest.raises(LasemError, match="use at most 4"):
        load_stream(spec(n_tasks=5), tmp_path / "pets")


@pytest.mark.parametrize("mode", MODES)
def test_every_colour_space_is_read(tmp_path, mode):
    path = tmp_path / ("x.tif" if mode in ("CMYK", "I;16") else "x.png")
    picture(path, 0, mode, (301, 17))
    assert image_tree.read_image(path).shape == (128, 128, 3)


def test_resizing_does_not_alias(tmp_path):
    stripes = np.zeros((1024, 1024, 3), np.uint8)
    stripes[:, ::2] = 255
    Image.fromarray(stripes).save(tmp_path / "stripes.png")
    assert abs(image_tree.read_image(tmp_path / "stripes.png").astype(int) - 128)[1:-1, 1:-1].max() <= 2


def test_unreadable_files_are_listed_not_fatal(tmp_path):
    root = write_tree(tmp_path / "pets")
    whole = (root / "class_0" / "1.png").read_bytes()
    (root / "class_0" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "class_1" / "notes.txt").write_text("not an image")
    (root / "class_1" / "empty.jpg").touch()
    (root / "class_1" / ".hidden").touch()
    (root / "LICENSE").write_text("free")
    (note,) = notes(spec(), root)
    assert note.startswith("3 unreadable files left out")
    assert "class_0/cut.png" in note and "class_1/notes.txt" in note
    assert sizes(load_stream(spec(), root).tasks[0]) == [6, 2, 2]


def test_a_changed_folder_is_read_again_and_changes_the_fingerprint(tmp_path):
    root = write_tree(tmp_path / "pets")
    before = fingerprint(spec(), root)
    assert fingerprint(spec(), root) == before
    picture(root / "class_0" / "0.png", 999, size=(5, 4))
    assert fingerprint(spec(), root) != before
    copy = write_tree(tmp_path / "copy")
    assert fingerprint(spec(), copy) == before, "the same images elsewhere are the same data"


def test_a_damaged_cache_is_made_again(tmp_path):
    root = write_tree(tmp_path / "pets")
    before = fingerprint(spec(), root)
    (cached,) = (tmp_path / "cache" / "lasem").glob("*.npz")
    cached.write_bytes(cached.read_bytes()[:1000])
    assert fingerprint(spec(), root) == before


@pytest.mark.parametrize("kind", ["missing", "empty", "text only"])
def test_a_folder_without_images_is_one_clear_line(tmp_path, kind):
    root = tmp_path / "pets"
    if kind != "missing":
        root.mkdir()
    if kind == "text only":
        (root / "class").mkdir()
        (root / "class" / "a.txt").write_text("a")
    with pytest.raises(LasemError, match=str(root)) as caught:
        load_stream(spec(), root)
    assert "\n" not in str(caught.value)


def test_a_class_with_too_few_images_is_named(tmp_path):
    with pytest.raises(LasemError, match="class_0 has 2 images"):
        load_stream(spec(), write_tree(tmp_path / "pets", images=2))


def only_one_class(root):
    write_tree(root, classes=1)


def one_class_of_one_image(root):
    write_tree(root, classes=1)
    picture(root / "class_1" / "0.png", 1)


def a_loop_for_a_class(root):
    root.mkdir()
    (root / "class").symlink_to(root / "class")


def the_folder_itself_for_a_class(root):
    root.mkdir()
    (root / "class").symlink_to(root)


def a_file(root):
    root.write_text("no folder")


def a_loop(root):
    root.symlink_to(root)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (only_one_class, "folder has no task of 2 classes"),
        (one_class_of_one_image, "class_1 has 1 images"),
        (a_loop_for_a_class, "holds no images"),
        (the_folder_itself_for_a_class, "holds no images"),
        (a_file, "is not a folder"),
        (a_loop, "is not a folder"),
    ],
)
def test_a_folder_that_cannot_be_a_stream_is_one_clear_line(tmp_path, make, problem):
    make(tmp_path / "pets")
    with pytest.raises(LasemError, match=problem) as caught:
        load_stream(spec(n_tasks=1), tmp_path / "pets")
    assert "\n" not in str(caught.value)


def test_loops_beside_images_do_no_harm(tmp_path):
    expected = load_stream(spec(), write_tree(tmp_path / "plain")).content_hash()
    root = write_tree(tmp_path / "pets")
    (root / "self").symlink_to(root / "self")
    (root / "up").symlink_to(root)
    (root / "class_0" / "x.png").symlink_to(root / "class_0" / "x.png")
    assert load_stream(spec(), root).content_hash() == expected


@pytest.mark.parametrize("act", [load_stream, fingerprint, notes])
@pytest.mark.parametrize("dataset", ["folder", "caltech101", "office-home", "cifar100", "stl10"])
def test_a_folder_that_may_not_be_read_is_one_line(tmp_path, monkeypatch, act, dataset):
    def refuse(self, *_):
        raise PermissionError(13, "Permission denied", str(self))

    for look in ("is_dir", "is_file", "iterdir"):
        monkeypatch.setattr(Path, look, refuse)
    if act is notes and dataset in ("cifar100", "stl10"):
        assert notes(spec(dataset), tmp_path) == ()
        return
    with pytest.raises(LasemError, match=f"cannot read {tmp_path}.*: Permission denied"):
        act(spec(dataset), tmp_path)


def test_a_class_whose_name_is_no_utf_8_can_be_printed(tmp_path):
    root = write_tree(tmp_path / "pets")
    (root / "class_0").rename(os.fsdecode(os.fsencode(root) + b"/a\xff"))
    stream = load_stream(spec(), root)
    assert stream.tasks[0].classes[0] == r"a\udcff"
    assert all(name.encode() for task in stream.tasks for name in task.classes)


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    home = tmp_path_factory.mktemp("data")
    official_office_home(home / office_home.OFFICIAL_FOLDER)
    return home


def test_office_home_groups_are_disjoint_per_domain(office):
    stream = load_stream(spec("office-home"), office)
    assert len(stream.tasks) == 10 and all(task.n_classes == 13 for task in stream.tasks)
    for tasks in (stream.tasks[:5], stream.tasks[5:]):
        assert len({name for task in tasks for name in task.classes}) == 65
    assert stream.tasks[0].name == "Product task 1" and stream.tasks[9].name == "Real World task 10"
    assert stream.tasks[0].classes != stream.tasks[5].classes
    assert load_stream(spec("office-home", 1), office).tasks[0].classes != stream.tasks[0].classes


def test_office_home_released_groups_serve_both_domains(office):
    stream = load_stream(RunSpec(dataset="office-home", preset="released", profile="paper"), office)
    assert stream.tasks[0].classes[:3] == ("TV", "Sneakers", "Soda")
    assert [t.classes for t in stream.tasks[:5]] == [t.classes for t in stream.tasks[5:]]


def test_office_home_incremental_grows_by_one_class(office):
    stream = load_stream(spec("office-home-incremental"), office)
    assert [task.n_classes for task in stream.tasks] == [3, 4, 5, 6, 7, 8]
    assert stream.tasks[0].classes == ("Couch", "Table", "Paper Clip")
    assert stream.tasks[5].classes[-1] == "Trash Can"
    couch = [task.train.rows[task.train.labels == 0] for task in stream.tasks]
    assert all(torch.equal(couch[0], other) for other in couch)


@pytest.mark.parametrize("names", [("Product", "RealWorld"), ("product", "Real_World")])
def test_office_home_under_other_spellings(tmp_path, names):
    official_office_home(tmp_path / "office-home", domains=names, images=4)
    for name in names:
        (tmp_path / "office-home" / name / "Alarm_Clock").rename(tmp_path / "office-home" / name / "Alarm Clock")
    assert len(office_home.listing(tmp_path / "office-home")) > 0
    assert "Alarm Clock" in {c for _, c, _ in office_home.listing(tmp_path / "office-home")}


def test_preparing_office_home_from_an_archive(tmp_path, office):
    archive = tmp_path / "office.zip"
    with zipfile.ZipFile(archive, "w") as content:
        for file in (office / office_home.OFFICIAL_FOLDER).rglob("*.*"):
            content.write(file, file.relative_to(office))
    made = prepare("office-home", tmp_path / "data", archive)
    assert made.notes[0] == "Product: 65 classes, 260 files (official: 65 and 4439)"
    ours, direct = (load_stream(spec("office-home"), home).content_hash() for home in (tmp_path / "data", office))
    assert ours == direct
    assert fingerprint(spec("office-home"), tmp_path / "data") == fingerprint(spec("office-home"), office)


def test_office_home_lacking_classes_or_domains(tmp_path):
    for domain in office_home.DOMAINS:
        picture(tmp_path / "x" / domain / "Bed" / "0.png", 0)
    with pytest.raises(LasemError, match="lacks 128 class folders"):
        prepare("office-home", tmp_path / "data", tmp_path / "x")
    with pytest.raises(LasemError, match="has no folders Product and Real World"):
        prepare("office-home", tmp_path / "data", tmp_path / "x" / "Product")


def test_missing_office_home_says_where_to_get_it(tmp_path):
    with pytest.raises(LasemError, match=r"hemanthdv.*lasem data prepare office-home --from"):
        load_stream(spec("office-home"), tmp_path)


def test_preparing_caltech_from_a_wrapped_archive(tmp_path):
    write_tree(tmp_path / "caltech-101" / "101_ObjectCategories")
    picture(tmp_path / "caltech-101" / "101_ObjectCategories" / "BACKGROUND_Google" / "0.jpg", 5)
    with tarfile.open(tmp_path / "caltech.tar.gz", "w:gz") as content:
        content.add(tmp_path / "caltech-101", "caltech-101")
    made = prepare("caltech101", tmp_path / "data", tmp_path / "caltech.tar.gz")
    assert made.notes[0] == "4 classes, 24 images"
    assert len(made.sha256) == 64
    stream = load_stream(spec("caltech101", n_tasks=2, classes_per_task=2), tmp_path / "data")
    assert stream.title == "Caltech-101 (4 classes, 128x128)"


def test_preparing_caltech_from_an_archive_in_an_archive(tmp_path):
    """As its page hands it out today."""
    write_tree(tmp_path / "101_ObjectCategories")
    with tarfile.open(tmp_path / "101_ObjectCategories.tar.gz", "w:gz") as content:
        content.add(tmp_path / "101_ObjectCategories", "101_ObjectCategories")
    with zipfile.ZipFile(tmp_path / "caltech-101.zip", "w") as content:
        content.write(tmp_path / "101_ObjectCategories.tar.gz", "caltech-101/101_ObjectCategories.tar.gz")
        content.writestr("caltech-101/Annotations.tar", b"")
    assert prepare("caltech101", tmp_path / "data", tmp_path / "caltech-101.zip").notes[0] == "4 classes, 24 images"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"images": np.zeros((0, 128, 128, 3), np.uint8), "members": np.zeros((0, 2), str)}, "holds no images"),
        ({"images": np.zeros((4, 64, 64, 3), np.uint8)}, "images are uint8"),
        ({"members": np.zeros((24, 2), int)}, "members are int64"),
        ({"members": np.full((7, 2), "a")}, "members are"),
        ({"members": np.array("a")}, "members are"),
        ({"unreadable": np.array("a")}, "unreadable are"),
        ({"unreadable": np.arange(3)}, "unreadable are int64"),
        ({"images": np.array(None)}, "not a readable npz file"),
    ],
)
def test_a_wrong_prepared_file_is_named_with_its_problem(tmp_path, changes, problem):
    made = prepare("caltech101", tmp_path / "data", write_tree(tmp_path / "pets")).path
    with np.load(made) as archive:
        content = dict(archive) | changes
    np.savez(made, **content)
    with pytest.raises(LasemError, match=rf"caltech101\.npz.*{problem}") as caught:
        load_stream(spec("caltech101", n_tasks=2, classes_per_task=2), tmp_path / "data")
    assert "\n" not in str(caught.value)


def test_what_an_archive_lacks_is_said_of_the_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    with pytest.raises(LasemError, match=r"empty\.zip holds no images"):
        prepare("caltech101", tmp_path / "data", tmp_path / "empty.zip")


@pytest.mark.parametrize("kind", ["encrypted", "cut", "damaged"])
def test_an_archive_that_cannot_be_unpacked_is_named(tmp_path, kind):
    archive = tmp_path / "pets.archive"
    if kind == "encrypted":
        with zipfile.ZipFile(archive, "w") as content:
            content.writestr("class/a.png", "content")
        raw = bytearray(archive.read_bytes())
        raw[6] |= 1  # the flag, before the file and in the directory
        raw[raw.index(b"PK\x01\x02") + 8] |= 1
    else:
        with tarfile.open(archive, "w:xz") as content:
            content.add(write_tree(tmp_path / "pets"), "pets")
        raw = bytearray(archive.read_bytes())
        raw[len(raw) // 2 :] = b"" if kind == "cut" else bytes(len(raw) - len(raw) // 2)
    archive.write_bytes(raw)
    with pytest.raises(LasemError, match=r"--from .*pets\.archive: cannot unpack it"):
        prepare("caltech101", tmp_path / "data", archive)


def test_a_single_class_needs_no_unwrapping(tmp_path):
    made = prepare("caltech101", tmp_path / "data", write_tree(tmp_path / "pets", classes=1))
    assert made.notes == ("1 classes, 6 images",)


@pytest.mark.parametrize(
    ("dataset", "given", "problem"),
    [
        ("planted", None, "needs no preparation"),
        ("caltech101", None, "give the folder or archive"),
        ("office-home", "nowhere", "no such file or folder"),
        ("cifar100", "text.zip", "neither a folder nor"),
        ("stl10", "empty", "is not the official release"),
    ],
)
def test_preparing_what_cannot_be_prepared(tmp_path, dataset, given, problem):
    (tmp_path / "text.zip").write_text("text")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LasemError, match=problem):
        prepare(dataset, tmp_path / "data", None if given is None else tmp_path / given)


def test_the_real_caltech_is_split_six_one_three():
    folder = os.environ.get("LASEM_DATA")
    if not folder or not (Path(folder) / "caltech101").is_dir():
        pytest.skip("needs the folder caltech101 in LASEM_DATA")
    stream = load_stream(spec("caltech101"), Path(folder))
    assert len(stream.tasks) == 5 and all(task.n_classes == 13 for task in stream.tasks)
    train, valid, test = sizes(stream.tasks[0])
    assert train / test == pytest.approx(2, abs=0.1) and test / valid == pytest.approx(3, abs=0.5)
