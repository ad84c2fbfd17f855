"""`lasem data` from the command line."""

import pytest
from PIL import Image

from lasem_core.cli import app, exit_status


def lasem(*words):
    return exit_status(lambda: app(args=["data", *map(str, words)], standalone_mode=False))


def test_status_names_every_data_set(tmp_path, capsys):
    assert lasem("status", "--data", tmp_path) == 0
    told = capsys.readouterr().out
    for name in ("planted", "digits", "cifar100", "stl10", "office-home", "caltech101", "folder"):
        assert name in told
    assert f"lasem data prepare cifar100 --data {tmp_path}" in told


def test_show_prints_the_stream_and_writes_contact_sheets(tmp_path, capsys):
    assert lasem("show", "digits", "--out", tmp_path, "--set", "stream.order=1,0,1", "--set", "stream.n_tasks=2") == 0
    told = capsys.readouterr().out
    assert "digits 5-9" in told and "order 2 1 2" in told and "97/25/268" in told
    sheets = sorted(tmp_path.glob("*.png"))
    assert [sheet.name for sheet in sheets] == ["digits-task-01.png", "digits-task-02.png"]
    with Image.open(sheets[0]) as sheet:
        assert sheet.size == (110 + 10 * 66, 5 * 66 + 20)
        assert len(sheet.getcolors(maxcolors=100_000)) > 10


@pytest.mark.parametrize("place", ["file", "file/below", "link"])
def test_show_into_what_is_no_folder_is_one_line_and_status_two(tmp_path, capsys, place):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "link")
    assert lasem("show", "digits", "--out", tmp_path / place) == 2
    told = capsys.readouterr().err
    assert str(tmp_path / place) in told and told.count("\n") == 1
    assert (tmp_path / "file").read_text() == "kept"


def test_show_into_a_folder_that_refuses(tmp_path, capsys, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image.Image, "save", refuse)
    assert lasem("show", "digits", "--out", tmp_path) == 2
    assert f"cannot write contact sheets into {tmp_path}: Permission denied" in capsys.readouterr().err


def test_status_tells_of_damaged_data_and_goes_on(tmp_path, capsys):
    (tmp_path / "caltech101").mkdir()
    (tmp_path / "office-home.npz").write_text("no archive")
    (tmp_path / "stl10.npz").write_bytes(b"")
    assert lasem("status", "--data", tmp_path) == 0
    told = capsys.readouterr().out
    assert "caltech101 holds no images" in told and told.count("is not a readable npz file") == 2
    assert told.splitlines()[-1].startswith("folder")


def test_prepare_needs_a_place(monkeypatch, capsys):
    monkeypatch.delenv("LASEM_DATA", raising=False)
    assert lasem("prepare", "cifar100") == 2
    assert "--data DIR" in capsys.readouterr().err


@pytest.mark.parametrize("dataset", ["office-home", "caltech101"])
@pytest.mark.parametrize("words", ["data status", "data prepare {}", "train --dataset {}"])
def test_the_advice_is_the_whole_command(monkeypatch, capsys, dataset, words):
    monkeypatch.delenv("LASEM_DATA", raising=False)
    exit_status(lambda: app(args=words.format(dataset).split(), standalone_mode=False))
    assert f"`lasem data prepare {dataset} --from PATH --data DIR`" in "".join(capsys.readouterr())


def test_training_tells_of_images_it_leaves_out(tmp_path, caplog, capsys, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for number in range(8):
        for name in ("a", "b"):
            (tmp_path / "pets" / name).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "pets" / name / f"{number}.png")
    for name in ("a", "broken"):
        (tmp_path / "pets" / name).mkdir(exist_ok=True)
        (tmp_path / "pets" / name / "cut.png").write_text("no image")
    words = ["train", "--dataset", "folder", "--data", tmp_path / "pets", "--store", tmp_path / "runs"]
    assert exit_status(lambda: app(args=[*map(str, words)], standalone_mode=False)) == 2
    assert "has no task of 13 classes: there are 2 with readable images; give --classes-per-task K" in (
        capsys.readouterr().err
    )
    caplog.clear()
    words += ["--classes-per-task", 2, "--set", "stream.n_tasks=1", "--set", "schedule.epochs=0"]
    assert exit_status(lambda: app(args=[*map(str, words)], standalone_mode=False)) == 0
    assert caplog.messages == [
        "2 unreadable files left out: a/cut.png, broken/cut.png",
        "1 classes left out, none of their files is an image: broken",
    ]
