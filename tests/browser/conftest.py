"""Debian's chromium, driven by playwright. LASEM_BROWSER=required makes its absence a failure; screenshots stay in
.cache/browser."""

import os
import shutil
from pathlib import Path

import pytest

SHOTS = Path(__file__).parents[2] / ".cache" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
MINUTE = 60_000

if CHROMIUM is None and os.environ.get("LASEM_BROWSER") == "required":
    raise RuntimeError("LASEM_BROWSER=required, but there is no chromium")


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"))
        item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def shots():
    """Where screenshots go."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS


@pytest.fixture(scope="session")
def browser(shots):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    """A page that fails the test where a script of it fails."""
    page = browser.new_page(viewport={"width": 1280, "height": 1000})
    page.set_default_timeout(5 * MINUTE)
    problems = []
    page.on("pageerror", lambda problem: problems.append(problem))
    yield page
    page.close()
    assert not problems
