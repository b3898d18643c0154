"""The page of `physnet report` in a real browser: headless Chromium, the file opened from disk."""

import io
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from physnet import report, results
from physnet.cli import main
from physnet.variable import Variable

pytest_plugins = ("toys",)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = """<script>alert('x')</script>"><img src=x onerror=alert(1)><svg onload=alert(2)>"""
FIGURES = """
    import numpy as np
    cloud, wide = Figure(), Figure(figsize=(9, 3))
    cloud.add_subplot(xlabel="first").plot(*np.random.default_rng(0).random((2, 20_000)), ".")
    for axes in wide.subplots(1, 3):
        axes.plot(ds.voltage)
    return {"voltage": figure, "cloud": cloud, "wide": wide}
"""
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install 'physnet[test]'")
    if CHROMIUM is None:
        pytest.skip("needs Chromium on the PATH: apt install chromium")
    with api.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser):
    """A function (file, viewport, scheme) that opens a page and notes whatever it says, asks for or pops up."""
    contexts = []

    def visit(path, viewport=DESK, scheme="light"):
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.noted = []
        page.on("console", lambda message: page.noted.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: page.noted.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (page.noted.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: page.noted.append(request.url))
        page.goto(Path(path).resolve().as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def pages(importable_throughout):
    """one.html of a result with figures in both formats; all.html of a folder with a hostile and a damaged file."""
    study = importable_throughout / "toy_study.py"
    study.write_text(study.read_text().replace('    return {"voltage": figure}\n', FIGURES))
    assert main(["run", "toy-study", "--steps", "30"]) == 0
    report.write(["toy-study.nc"], "one.html")
    ds = results.to_dataset(
        [(Variable("voltage", ("node",), "V", HOSTILE), np.ones(2))],
        coords=[(Variable("label", ("node",), long_name=HOSTILE), [HOSTILE, "b"])],
        title=HOSTILE,
        attrs={"note": HOSTILE, "physnet_study": HOSTILE},
    )
    folder = Path("results")
    folder.mkdir()
    results.save(ds, folder / "hostile.nc")
    whole = Path("toy-study.nc").read_bytes()
    folder.joinpath("damaged.nc").write_bytes(whole[:6000])
    folder.joinpath("good.nc").write_bytes(whole)
    report.write([folder], "all.html")


def check_figures(page, count):
    """Every picture has been decoded, and what the reader sees in its place is no empty box."""
    images = page.locator("figure img")
    assert images.count() == count
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    for i in range(count):
        image = images.nth(i)
        ready, width, height = image.evaluate("i => [i.complete, i.naturalWidth, i.naturalHeight]")
        assert ready and width > 0 and height > 0
        box, frame = image.bounding_box(), page.locator("figure .picture").nth(i).bounding_box()
        assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.02)
        right = min(box["x"] + box["width"], frame["x"] + frame["width"])  # beyond it the frame scrolls
        top = page.evaluate("scrollY") + box["y"]
        seen = np.asarray(shot.crop((box["x"], top, right, top + box["height"])))
        colours = np.unique(seen @ np.array([65536, 256, 1]))
        assert len(colours) > 20 and seen.std() > 5


@pytest.mark.parametrize(("name", "figures"), [("one.html", 3), ("all.html", 3)])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_everything_shows_and_nothing_is_fetched(pages, visit, name, figures, viewport):
    page = visit(name, viewport)
    check_figures(page, figures)
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]  # only tables and figures scroll
    assert [note for note in page.noted if not note.startswith("data:")] == [Path(name).resolve().as_uri()]


def test_contents_lead_to_sections_and_unfold(pages, visit):
    page = visit("all.html", PHONE)
    page.locator("nav a", has_text="good.nc").click()
    section = page.locator("article:target")
    assert "30 steps" in section.inner_text()
    listing = section.locator(".listing")
    details = listing.locator(".xr-section-item", has_text="Attributes").locator(".xr-section-details")
    assert not details.is_visible()
    listing.locator("label.xr-section-summary", has_text="Attributes").click()
    assert details.is_visible() and "physnet_config_sha256" in details.inner_text()
    values = listing.locator(".xr-var-item", has_text="voltage").locator(".xr-var-data")
    assert not values.is_visible()
    listing.locator(".xr-var-item", has_text="voltage").locator("label[title*=data]").click()
    assert values.is_visible() and "0.5" in values.inner_text()
    assert page.locator("article", has_text="damaged.nc").locator(".bad").is_visible()


def test_the_browser_itself_forbids_requests(pages, visit):
    page = visit("one.html")
    refused = page.evaluate(
        """() => new Promise(done => {
            document.addEventListener("securitypolicyviolation", event => done(event.violatedDirective));
            new Image().src = "http://127.0.0.1:9/x.png";
        })"""
    )
    assert refused == "img-src"
    refused = page.evaluate(
        """() => new Promise(done => {
            document.addEventListener("securitypolicyviolation", event => done(event.violatedDirective));
            const script = document.createElement("script");
            script.textContent = "document.title = 'run'";
            document.body.append(script);
        })"""
    )
    assert refused.startswith("script-src") and page.title() == "toy"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_legible_by_day_and_by_night(pages, visit, scheme):
    """Contrast of at least 4.5 to 1 (WCAG 2, level AA) of every kind of text that the page has."""
    page = visit("all.html", scheme=scheme)
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(background) < 0.1) == (scheme == "dark")
    for kind in ("body", "p.file", "figcaption", ".note.good", ".note.bad", ".note.warn", "nav a", "thead th", "pre"):
        colour, behind = page.locator(kind).first.evaluate(
            """node => {
                let behind = node;
                while (behind && getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)")
                    behind = behind.parentElement;
                return [getComputedStyle(node).color, getComputedStyle(behind || document.body).backgroundColor];
            }"""
        )
        light, dark = sorted((luminance(colour), luminance(behind)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (kind, colour, behind)


def luminance(colour: str) -> float:
    """Relative luminance of "rgb(r, g, b)", as WCAG defines it."""
    parts = np.array([int(x) for x in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])
