"""An HTML page as a browser would read it, and whether anything on it could run or fetch."""

from html.parser import HTMLParser
from pathlib import Path

from physnet.markup import VOID


class Page(HTMLParser):
    """A page as a browser would read it: its elements, its text, and whether every element is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in (*VOID, "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):  # <use .../> in xarray's icons
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self):
        return " ".join(" ".join(self.words).split())


def read(path="report.html") -> Page:
    return Page(Path(path).read_text(encoding="utf-8"))


def check_harmless(page: Page) -> None:
    """Nothing on the page runs or fetches."""
    assert not page.all("script") and not page.all("iframe") and not page.all("object")
    for tag, attributes in page.elements:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        for name in ("src", "href", "xlink:href", "action", "data"):
            assert str(attributes.get(name) or "#").startswith(("data:", "#")), (tag, attributes)
    (policy,) = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
