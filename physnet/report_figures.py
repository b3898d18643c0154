"""A matplotlib figure as a picture inside a page: sharp where that is small, with words for those who cannot see it."""

import base64
import io
from dataclasses import dataclass

LARGEST_SVG = 300_000  # characters: beyond it a PNG is smaller, and quicker to show
DPI = 200
PIXELS_PER_INCH = 115  # on the page: text of 9 points, as studies draw it, is then a little smaller than the page's


@dataclass(frozen=True)
class Picture:
    """A figure as a page shows it.

    name: the study's name for it. source: a data URI that holds all of it. alt: what it shows, in words.
    width, height: on the page, in CSS pixels.
    """

    name: str
    source: str
    alt: str
    width: int
    height: int


def picture(name: str, figure) -> Picture:
    """The picture of a matplotlib figure: SVG, or PNG at 200 dpi where the SVG would be large."""
    svg = _svg(figure)
    kind, data = ("svg+xml", svg.encode()) if svg is not None else ("png", _png(figure))
    width, height = figure.get_size_inches() * PIXELS_PER_INCH
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return Picture(name, source, described(figure), round(width), round(height))


def described(figure) -> str:
    """What a figure shows, from the titles and labels of its panels; empty where it has none."""
    panels = []
    for axes in figure.axes:
        x, y = _words(axes.get_xlabel()), _words(axes.get_ylabel())
        titles = [_words(axes.get_title(loc)) for loc in ("left", "center", "right")]
        what = f"{y} against {x}" if x and y else x or y
        panels.append(": ".join(text for text in (" ".join(filter(None, titles)), what) if text))
    heading = _words(figure.get_suptitle())
    return "; ".join(dict.fromkeys(text for text in (heading, *panels) if text))


def _words(text: str) -> str:
    return " ".join(text.replace("$", "").split())


class _TooLargeError(Exception):
    """The SVG has passed the limit."""


class _Limited(io.StringIO):
    """Stops the drawing of a million points early, not after it has filled the memory."""

    def write(self, text):
        if self.tell() + len(text) > LARGEST_SVG:
            raise _TooLargeError
        return super().write(text)


def _svg(figure) -> str | None:
    import matplotlib as mpl

    file = _Limited()
    try:
        # Text as paths: the reader's fonts are not ours. A fixed salt and no date: the same figure, the same text.
        with mpl.rc_context({"svg.fonttype": "path", "svg.hashsalt": "physnet"}):
            figure.savefig(file, format="svg", metadata={"Date": None})
    except _TooLargeError:
        return None
    return file.getvalue()


def _png(figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()
