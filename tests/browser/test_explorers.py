"""The explorer survives: JupyterLab with and without its kernel, a notebook that papermill wrote, nbconvert, the
report, Voila, and GitHub's way of showing notebooks."""

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

import nbformat
import papermill
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import TimeoutError
from sample_records import record
from warm_kernel import SOCKET, warm

from lasem_core.runs.plan import plan
from lasem_core.runs.run import run_id_of
from lasem_core.runs.store import RunStore
from lasem_core.views.report import write_report
from lasem_core.views.reproduce import NOTEBOOKS

ROOT = Path(__file__).parents[2]
NOTEBOOK = next(NOTEBOOKS.glob("*explorer.ipynb"))
LIVE = ["live = explorer.widget()\nlive", 'print("task", live.selection["task"])']


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Kernels that find made-up records: nothing is trained."""
    outputs = tmp_path_factory.mktemp("outputs")
    store = RunStore(outputs / "runs")
    for spec in plan(["figure3"], "smoke"):
        given = {name: getattr(spec, name) for name in ("method", "base", "config", "seed")}
        store.put(record(run_id_of(spec), **given))
    wanted = {"LASEM_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "LASEM_PROGRESS": "none"}
    with warm(os.environ | wanted, "python3") as known, pytest.MonkeyPatch.context() as patch:
        for name in (*wanted, "JUPYTER_PATH", SOCKET):
            patch.setenv(name, known[name])
        yield


@pytest.fixture(scope="module")
def folder(environment, tmp_path_factory):
    """The notebook as it is, with the widget in more cells, and as papermill leaves it."""
    folder = tmp_path_factory.mktemp("notebooks")
    notebook = nbformat.read(NOTEBOOK, 4)
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in LIVE]
    nbformat.write(notebook, folder / "live.ipynb")
    with contextlib.chdir(ROOT):
        papermill.execute_notebook(NOTEBOOK, folder / "executed.ipynb", kernel_name="python3", progress_bar=False)
    return folder


@pytest.fixture(scope="module")
def serve(environment, shots):
    """Start servers; they end with the tests of this file."""
    running = []

    def start(*words):
        port = _free_port()
        log = (shots / f"{words[0]}.log").open("w")
        command = [sys.executable, "-m", *words[:1], *(word.format(port=port) for word in words[1:])]
        running.append((subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log), log))
        _wait(port)
        return f"http://127.0.0.1:{port}"

    yield start
    for process, log in running:
        process.terminate()
        process.wait(30)
        log.close()


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _wait(port, seconds=180):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(f"nobody listens on port {port}")


@pytest.fixture(scope="module")
def lab(serve, folder):
    """The address of a notebook in JupyterLab."""
    token = secrets.token_hex(8)
    place = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port={port}", "--port-retries=0"]
    address = serve("jupyterlab", *place, f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}")
    return lambda name: f"{address}/lab/tree/{name}.ipynb?token={token}&reset"


def explores(place, page):
    """Click a cell, then use the keyboard: everything has to follow."""
    place.locator(".finding").wait_for()
    place.locator('[data-key="a-2-3"]').click()
    page.keyboard.press("ArrowUp")
    place.locator('[data-key="a-1-3"][aria-selected=true]').wait_for()
    assert re.search(r"task 2 .* layer 4", place.locator(".finding").inner_text())


def _open(page, address):
    def accept(dialog):
        dialog.locator("button.jp-mod-accept").click()

    page.add_locator_handler(page.locator(".jp-Dialog").first, accept)  # a restart, trust
    page.goto(address)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for()


def _menu(page, menu, item):
    page.get_by_role("menuitem", name=menu, exact=True).click()
    page.get_by_role("menuitem", name=re.compile(f"^{item}")).first.click()


def _menu_until(page, menu, item, answered):
    """Choose `item` until it is `answered`: JupyterLab drops it while a kernel connects or a dialog takes the focus."""
    for _ in range(20):
        _menu(page, menu, item)
        with contextlib.suppress(TimeoutError):
            return answered()
    raise AssertionError(f"JupyterLab did not answer '{item}'")


def _command(page, words):
    def run():
        page.locator(".lm-CommandPalette-input").fill(words, timeout=15_000)
        page.locator(".lm-CommandPalette-item", has_text=words).first.click(timeout=15_000)

    _menu_until(page, "View", "Activate Command Palette", run)


def _idle(page):
    page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").first.wait_for(state="attached")


def _connected(page):
    """Wait for the kernel itself: the notebook calls itself idle before it has one, and to run its cells then starts a
    second kernel beside the first, which takes the cells with it."""
    session = "s => location.pathname.endsWith(s.path) && s.kernel.connections && s.kernel.execution_state === 'idle'"
    page.wait_for_function(f"async () => (await (await fetch('/api/sessions')).json()).some({session})", polling=500)


def _run_all_cells(page):
    _connected(page)
    prompt = page.locator(".jp-CodeCell .jp-InputPrompt", has_text=re.compile(r"\[(\*|\d+)\]")).first
    _menu_until(page, "Run", "Run All Cells", lambda: prompt.wait_for(state="attached", timeout=15_000))


def test_jupyterlab_live_restarted_dark_and_as_a_widget(lab, page, shots):
    _open(page, lab("live"))
    _run_all_cells(page)
    shown = page.locator(".jp-RenderedHTML .lasem-explorer").first
    explores(shown, page)
    page.screenshot(path=shots / "jupyterlab.png")
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    _selection_reaches_python(page)
    for width in (800, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 1000})
        page.wait_for_timeout(500)
        shown.locator(".finding").scroll_into_view_if_needed()
        assert shown.evaluate("e => (o => o.scrollWidth - o.clientWidth)(e.closest('.jp-OutputArea-output'))") <= 1
        page.screenshot(path=shots / f"jupyterlab-{width}.png")
    _menu(page, "Kernel", "Restart Kernel…")
    _idle(page)
    explores(shown, page)
    _command(page, "JupyterLab Dark")
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    page.wait_for_timeout(1000)
    assert shown.locator(".heat svg text").first.evaluate("e => getComputedStyle(e).fill") == "rgb(255, 255, 255)"
    page.screenshot(path=shots / "jupyterlab-dark.png")


def _selection_reaches_python(page):
    widget = page.locator(".jp-CodeCell").nth(-2).locator(".lasem-explorer")
    widget.locator('[data-key="a-2-1"]').click()
    page.locator(".jp-CodeCell").last.locator(".jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")
    page.locator(".jp-CodeCell").last.locator(".jp-OutputArea-output", has_text="task 3").wait_for()


def test_reopened_without_trust_there_is_a_picture_and_with_trust_the_explorer(lab, page, shots):
    _open(page, lab("executed"))
    output = page.locator(".jp-OutputArea-output", has=page.locator("img[alt*='configuration by task']")).first
    output.wait_for()
    assert "trusted notebook" in output.inner_text()
    page.screenshot(path=shots / "reopened-untrusted.png")
    _command(page, "Trust Notebook")
    explores(page.locator(".lasem-explorer").first, page)
    assert "model not found" not in page.locator(".jp-Notebook").inner_text().lower()
    page.screenshot(path=shots / "reopened-trusted.png")


def test_papermill_output_holds_no_view_that_needs_a_kernel(folder):
    notebook = nbformat.read(folder / "executed.ipynb", 4)
    outputs = [output.data for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    assert {kind for data in outputs for kind in data} == {"text/html", "image/png", "text/plain"}
    assert "widgets" not in notebook.metadata


def _offline(page, path):
    page.context.set_offline(True)
    page.goto(path.as_uri())
    explores(page.locator(".lasem-explorer").first, page)


def test_nbconvert(folder, page, shots):
    html, _ = HTMLExporter().from_notebook_node(nbformat.read(folder / "executed.ipynb", 4))
    (folder / "executed.html").write_text(html, "utf-8")
    _offline(page, folder / "executed.html")
    page.screenshot(path=shots / "nbconvert.png")


def test_report(folder, page, shots):
    shutil.copy(folder / "executed.ipynb", folder / "another.ipynb")
    write_report({name: folder / f"{name}.ipynb" for name in ("executed", "another")}, folder / "report.html")
    _offline(page, folder / "report.html")
    explores(page.locator(".lasem-explorer").last, page)
    page.screenshot(path=shots / "report.png")


def test_voila(serve, page, shots):
    words = [os.path.relpath(NOTEBOOK, ROOT), "--no-browser", "--Voila.ip=127.0.0.1", "--port={port}"]
    page.goto(serve("voila", *words))
    explores(page.locator(".lasem-explorer").first, page)
    page.screenshot(path=shots / "voila.png")


def test_github_which_runs_no_scripts_shows_a_picture(folder, browser, shots):
    """GitHub shows the HTML without scripts and styles, or the picture."""
    html, _ = HTMLExporter().from_notebook_node(nbformat.read(folder / "executed.ipynb", 4))
    html = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.DOTALL)
    (folder / "github.html").write_text(html, "utf-8")
    page = browser.new_page(java_script_enabled=False)
    page.goto((folder / "github.html").as_uri())
    picture = page.get_by_role("img", name=re.compile("configuration by task"))
    assert picture.bounding_box()["width"] > 200
    assert "lasem-explorer .stage" not in page.locator("body").inner_text()
    page.screenshot(path=shots / "github.png")
    page.close()
