"""Every executed notebook as a page on three widths: nothing is cut off; the explorer's also dark, for it has colours
of its own.

nbconvert's page stands for JupyterLab's: the same cells, style sheets and themes without a server. With
LASEM_PICTURES=write screenshots stay in .cache/browser/notebooks, to be looked at one by one.
"""

import os
from functools import cache
from pathlib import Path

import pytest
from nbconvert import HTMLExporter

FILES = sorted((Path(__file__).parents[2] / "outputs" / "notebooks").glob("[0-9]*.ipynb"))
WIDTHS = (800, 1280, 1920)
CASES = [*((path, "light") for path in FILES), *((path, "dark") for path in FILES if "explorer" in path.stem)]

# what stands out of the page on its right; a table or a long line may scroll within its own cell
WIDER = """() => [...document.querySelectorAll(
    '.jp-RenderedMarkdown, .jp-RenderedImage img, .jp-RenderedHTML > *, h1, h2')]
  .filter(e => e.getBoundingClientRect().right > window.innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
SCROLLED = """() => [...document.querySelectorAll('.jp-OutputArea-output')]
  .filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.innerText.slice(0, 60))"""
BROKEN = "() => [...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.alt)"
NAMELESS = "() => [...document.images].filter(i => !i.alt).length"


@cache
def exporter(theme):
    """Its templates are compiled once, not for every notebook."""
    return HTMLExporter(theme=theme, exclude_input_prompt=True)


def after_layout(page):
    """What is cut off once the explorer has drawn itself for this width: on a busy machine that takes a while."""
    for _ in range(50):
        if not (found := [*page.evaluate(WIDER), *page.evaluate(SCROLLED)]):
            break
        page.wait_for_timeout(100)
    return found


def take(page, width, target):
    """The whole page: what is out of sight is not painted."""
    target.parent.mkdir(exist_ok=True)
    page.set_viewport_size({"width": width, "height": page.evaluate("document.documentElement.scrollHeight")})
    page.screenshot(path=target)


@pytest.mark.parametrize(("path", "theme"), CASES, ids=lambda value: getattr(value, "stem", value))
def test_a_notebook_as_a_page(page, shots, tmp_path, path, theme):
    html = tmp_path / "page.html"
    html.write_text(exporter(theme).from_filename(path)[0])
    page.route("**/*", lambda route: route.continue_() if route.request.url.startswith("file:") else route.abort())
    page.goto(html.as_uri())
    problems = {}
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 1000})
        problems[width] = after_layout(page)
        if width == 1280 and os.environ.get("LASEM_PICTURES") == "write":
            take(page, width, shots / "notebooks" / f"{path.stem}-{theme}.png")
    assert page.evaluate(BROKEN) == []
    assert page.evaluate(NAMELESS) == 0
    assert not any(problems.values()), problems
