"""A person opens the explorer in JupyterLab, and as a page served by Voila, moves a slider, sees another picture.

Needs Debian's chromium; LASEM_BROWSER=required makes its absence a failure. Screenshots stay in .cache/browser.
"""

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from playwright.sync_api import TimeoutError
from sample_records import record

from lasem_core.runs.artefacts import plan
from lasem_core.runs.run import run_id_of
from lasem_core.runs.store import RunStore

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / ".cache" / "browser"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
MINUTE = 60_000

if CHROMIUM is None and os.environ.get("LASEM_BROWSER") == "required":
    raise RuntimeError("LASEM_BROWSER=required, but there is no chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: apt-get install chromium"),
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Servers whose kernels find made-up records of every run that the explorer asks for: nothing is trained."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    outputs = tmp_path_factory.mktemp("outputs")
    store = RunStore(outputs / "runs")
    for spec in plan(["figure3"], "smoke"):
        given = {name: getattr(spec, name) for name in ("method", "base", "config", "seed")}
        store.put(record(run_id_of(spec), **given))
    wanted = {"LASEM_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "LASEM_PROGRESS": "none"}
    return os.environ | wanted


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1400, "height": 1100})
    page.set_default_timeout(5 * MINUTE)
    yield page
    page.close()


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def serve(environment):
    """Start a server of this test; it ends with it."""
    running = []

    def start(port, *words):
        log = (SHOTS / f"{words[0]}.log").open("w")
        command = [sys.executable, "-m", *words]
        running.append((subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log), log))
        _wait(port)

    yield start
    for process, log in running:
        process.terminate()
        process.wait(30)
        log.close()


def _wait(port, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"nobody listens on port {port}")


def _another_picture(page, picture, before):
    """Wait until the picture's address changes: ipywidgets makes a new one for new bytes."""
    page.wait_for_function("([image, old]) => image.src !== old", arg=[picture.element_handle(), before])


def _move_the_epoch_slider(page, name):
    """Step the first explorer's epoch back with the keyboard; its picture has to follow."""
    explorer = page.locator(".widget-vbox", has=page.get_by_text("epoch", exact=True)).first
    picture = explorer.locator("img.widget-image").first
    picture.wait_for()
    before = picture.get_attribute("src")
    page.screenshot(path=SHOTS / f"{name}-before.png")
    slider = explorer.locator(".widget-hslider", has=page.get_by_text("epoch", exact=True)).locator(".noUi-handle")
    slider.focus()
    slider.press("ArrowLeft")
    _another_picture(page, picture, before)
    page.screenshot(path=SHOTS / f"{name}-after.png")


def _accept_dialogs(page):
    """On a busy machine JupyterLab may ask something (a kernel to select, a connection lost) over its menus."""

    def accept(dialog):
        page.screenshot(path=SHOTS / "jupyterlab-dialog.png")
        dialog.locator("button.jp-mod-accept").click()

    page.add_locator_handler(page.locator(".jp-Dialog").first, accept)


def _run_all_cells(page):
    """Click Run All until a prompt answers: JupyterLab drops the command while its kernel is still connecting."""
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt", has_text=re.compile(r"\[(\*|\d+)\]")).first
    for _ in range(20):
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name=re.compile("^Run All Cells")).click()
        with contextlib.suppress(TimeoutError):
            return prompt.wait_for(state="attached", timeout=15_000)
    page.screenshot(path=SHOTS / "jupyterlab-not-run.png")
    raise AssertionError("JupyterLab ran no cell: see .cache/browser/jupyterlab-not-run.png")


def test_jupyterlab(serve, page, tmp_path):
    port, token = _free_port(), secrets.token_hex(8)
    place = ["--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--port-retries=0"]
    shutil.copy(ROOT / "notebooks" / "02_explorer.ipynb", tmp_path)  # JupyterLab saves what it has open
    serve(port, "jupyterlab", *place, f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={tmp_path}")
    _accept_dialogs(page)
    page.goto(f"http://127.0.0.1:{port}/lab/tree/02_explorer.ipynb?token={token}&reset")
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for(state="attached")
    _run_all_cells(page)
    _move_the_epoch_slider(page, "jupyterlab")
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0


def test_voila(serve, page):
    port = _free_port()
    serve(port, "voila", "notebooks/02_explorer.ipynb", "--no-browser", "--Voila.ip=127.0.0.1", f"--port={port}")
    page.goto(f"http://127.0.0.1:{port}/")
    _move_the_epoch_slider(page, "voila")
