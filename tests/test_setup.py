"""The two commands of the README: one environment, installed once, described twice."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from make_constraints import wanted
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def _pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _make(folder, *arguments):
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, timeout=600)


def test_environment_yml_equals_pyproject():
    project = _pyproject()
    extras = [dep for extra in project["optional-dependencies"].values() for dep in extra]
    wanted = project["dependencies"] + [dep for dep in extras if not dep.startswith("lasem[")]
    *conda, pip = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert pip["pip"] == ["-c constraints.txt", *wanted, "-e ."]
    assert f"python{project['requires-python']}" in conda


def test_constraints_pin_every_requirement_within_its_range():
    lines = (ROOT / "constraints.txt").read_text().splitlines()[1:]
    pins = dict(line.split("==") for line in lines)
    assert len(pins) == len(lines) > len(wanted())
    for requirement in wanted():
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def test_constraints_are_used_where_something_is_installed():
    assert "-c $(PINS)" in (ROOT / "Makefile").read_text()
    assert "--quiet --disable" not in (ROOT / "Makefile").read_text()  # minutes of silence look like a hang


def test_lab_opens_working_copies(tmp_path):
    """And a copy that somebody has saved stays as it is."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01_quickstart.ipynb").write_text("source")
    jupyter = tmp_path / ".venv" / "bin" / "jupyter"
    jupyter.parent.mkdir(parents=True)
    jupyter.write_text("#!/bin/sh\ntouch opened\necho saved > $2\n")
    jupyter.chmod(0o755)
    (tmp_path / ".venv" / ".installed").touch()
    for _ in range(2):
        assert _make(tmp_path, "lab").returncode == 0
        assert (tmp_path / "lab" / "01_quickstart.ipynb").read_text() == "saved\n"
    assert (tmp_path / "notebooks" / "01_quickstart.ipynb").read_text() == "source"


def test_ci_runs_the_readme_test_command():
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("\nmake test")
    assert "make test" in (ROOT / "README.md").read_text()
    assert "make reproduce" in (ROOT / "README.md").read_text()


def test_a_stamped_environment_is_not_installed_again(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".installed").touch()
    commands = _make(tmp_path, "--dry-run", "reproduce", "PROFILE=quick", "DATASET=cifar100").stdout
    assert "pip install" not in commands
    assert "lasem reproduce all --profile quick --dataset cifar100" in commands


def test_python_that_is_too_old_is_named(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    result = _make(tmp_path, "lint", f"PYTHON={old}")
    assert result.returncode != 0
    assert "needs Python 3.11 or newer" in result.stderr


@pytest.mark.parametrize("target", ["reproduce", "test", "lab", "page", "sweep", "bench"])
def test_targets_exist(tmp_path, target):
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert _make(tmp_path, "--dry-run", target).returncode == 0
