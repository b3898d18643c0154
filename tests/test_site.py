"""The site: it builds without a complaint, asks nobody for anything, and shows docstrings, references and formulas."""

import functools
import http.server
import importlib
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# What a browser fetches by itself when it shows a page; links that a reader follows are not among it.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\ssrc(?:set)?=["']?(?:https?:)?//[^>]*>"""
    r"""|<link\b(?![^>]*rel=["']?(?:canonical|next|prev))[^>]*\shref=["']?(?:https?:)?//[^>]*>"""
    r"""|url\(["']?(?:https?:)?//[^)]*\)|@import[^;]*//[^;]*;"""
)


@pytest.fixture(scope="module")
def build():
    """A function that imports a module of docs/_build."""
    sys.path.insert(0, str(ROOT / "docs" / "_build"))
    yield importlib.import_module
    sys.path.remove(str(ROOT / "docs" / "_build"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, built strictly and without running studies."""
    for module in ("mkdocs", "material", "mkdocstrings_handlers.python"):
        pytest.importorskip(module, reason="the site needs mkdocs: pip install 'physnet[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"PHYSNET_GALLERY": "off", "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_it_fetches_nothing(site):
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("*.html")}
    assert len(pages) > 50
    for path, text in pages.items():
        assert not FETCHED.findall(text), path.name
        assert "arithmatex" not in text, path.name
    for path in site.rglob("*.css"):
        assert not FETCHED.findall(path.read_text(encoding="utf-8")), path.name


@pytest.mark.slow
def test_api_pages_are_made_of_docstrings(site):
    text = (site / "api" / "gradients.html").read_text(encoding="utf-8")
    assert 'id="physnet.gradients.ep_gradient"' in text
    assert "<li><code>throw</code>: " in re.sub(r"\s*<p>\s*", "", text)
    signature = re.sub(r"<[^>]+>", "", text[text.index('id="physnet.nudging.OneSided"') :])
    assert "relative: bool = False" in signature[:800] and "sign: int = 1" in signature[:800]  # fields of an eqx.Module


@pytest.mark.slow
@pytest.mark.parametrize("width", [1300, 390])
def test_a_browser_shows_every_page_and_asks_nobody(site, width):
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'physnet[test]'")
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the PATH: apt install chromium")
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, api.sync_playwright() as play:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        home, asked, errors = f"http://127.0.0.1:{server.server_port}/", set(), []
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.on("request", lambda request: asked.add(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for path in sorted(site.rglob("*.html")):
            page.goto(home + str(path.relative_to(site)))
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path.name
        browser.close()
        server.shutdown()
    assert not errors
    assert {url for url in asked if not url.startswith((home, "data:", "blob:"))} == set()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_a_wrong_switch_is_named():
    pytest.importorskip("mkdocs", reason="the site needs mkdocs: pip install 'physnet[docs]'")
    environment = os.environ | {"PHYSNET_GALLERY": "maybe", "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "PHYSNET_GALLERY is 'maybe'" in done.stderr and "Traceback" not in done.stderr


def test_docstrings_become_lists(build):
    pytest.importorskip("griffe", reason="the API pages need the extra 'docs'")
    prose = build("docstrings")
    text = "Settles.\n\ninputs (sample, input): the drive, V*2. beta,\neta: sizes of F[0] (not: of s). Raises an error."
    assert prose.markdown(text, {"inputs", "beta", "eta"}) == (
        "Settles.\n\n* `inputs (sample, input)`: the drive, V\\*2.\n* `beta, eta`: sizes of F\\[0\\] (not: of s).\n\n"
        "Raises an error."
    )
    assert prose.markdown("    a <b> c") == "    a <b> c"  # an equation stays as it is
    assert prose.markdown("a <b> `c<d>`", ()) == "a &lt;b> `c<d>`"


def test_references_become_links(build):
    rendering = build("rendering")
    found = rendering.references("<p>see doi:10.1/ab.c. <code>doi:10.1000/no</code> arXiv:2402.11674</p>")
    assert found.count("<a ") == 1 and 'href="https://arxiv.org/abs/2402.11674"' in found
    found = rendering.references("<p>(doi:10.1038/s41586-018-0632-y)</p>")
    assert '<a href="https://doi.org/10.1038/s41586-018-0632-y">doi:10.1038/s41586-018-0632-y</a>)' in found


def test_formulas_are_drawn_on_the_line(build):
    rendering = build("rendering")
    drawn = rendering.formulas(r'<span class="arithmatex">\(v_i &lt; 0\)</span>')
    assert drawn.startswith("<svg") and 'aria-label="v_i &lt; 0"' in drawn and "arithmatex" not in drawn
    with pytest.raises(ValueError, match="nonsense"):
        rendering.formulas(r'<div class="arithmatex">\[\nonsense\]</div>')
