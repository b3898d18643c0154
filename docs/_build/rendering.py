"""What is done to the HTML of every page: formulas become pictures in the text, DOIs and arXiv numbers become links.

Both happen while the site is built, so that a page loads nothing from anywhere and needs no fonts for mathematics.
"""

import html
import re
from functools import cache

_TAG = re.compile(r"(<[^>]+>)")
_MATHS = re.compile(r'<(span|div) class="arithmatex">(?:\\\((.*?)\\\)|\\\[(.*?)\\\])</\1>', re.DOTALL)
_REFERENCE = re.compile(r"\b(?:doi:(10\.\d{4,9}/[^\s<>,;\"]*[A-Za-z0-9])|arXiv:(\d{4}\.\d{4,5}))")
_CELL = re.compile(r"<td\b.*?</td>", re.DOTALL)
_CODE = re.compile(r"(?<=<code>)[^<]*(?=</code>)")
_UNTOUCHED = ("a", "pre", "code", "script", "style", "svg")  # elements whose text is not searched for references
_LETTERS = ("", "M", "L", "Q", "C")  # of SVG, by matplotlib's codes of a path
_CLOSE = 79
_SIZE = 100.0  # points at which outlines are taken: one em of the picture


def formulas(page: str) -> str:
    """Every formula that pymdownx.arithmatex (generic) marked, as SVG. Raises ValueError for one it cannot read."""

    def drawn(match):
        text = " ".join(html.unescape(match[2] or match[3]).split())
        if match[2]:
            return _svg(text)
        large = text.replace(r"\frac", r"\dfrac")
        return f'<div class="formula">{_svg(large)}</div>'

    return _MATHS.sub(drawn, page)


@cache
def _svg(formula: str) -> str:
    """LaTeX as matplotlib's mathtext reads it, in outlines that stand on the line of text and take its colour."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath, text_to_path

    font, text = FontProperties(size=_SIZE, math_fontfamily="stix"), f"${formula}$"
    width, height, descent = text_to_path.get_text_width_height_descent(text, font, ismath=True)
    outline = TextPath((0, 0), text, size=_SIZE, prop=font)
    strokes = []
    for points, code in outline.iter_segments(simplify=False, curves=True):
        letter = "Z" if code == _CLOSE else _LETTERS[code]
        numbers = () if code == _CLOSE else (f"{-y if i % 2 else y:.1f}" for i, y in enumerate(points))
        strokes.append(letter + " ".join(numbers))
    margin = 2  # outlines reach a little beyond their box
    box = f"{-margin} {descent - height - margin:.1f} {width + 2 * margin:.1f} {height + 2 * margin:.1f}"
    place = f"height:{(height + 2 * margin) / _SIZE:.3f}em;vertical-align:{-(descent + margin) / _SIZE:.3f}em"
    label = html.escape(formula, quote=True)
    return (
        f'<svg class="formula" role="img" aria-label="{label}" viewBox="{box}" style="{place}">'
        f'<path fill="currentColor" d="{"".join(strokes)}"/></svg>'
    )


def references(page: str) -> str:
    """Every `doi:10...` and `arXiv:...` of the text as a link; code and links are left alone."""
    parts, inside = _TAG.split(page), []
    for i, part in enumerate(parts):
        if i % 2 == 0:
            parts[i] = part if inside else _REFERENCE.sub(_link, part)
            continue
        name = re.match(r"</?(\w+)", part)
        if name is None or name[1] not in _UNTOUCHED:
            continue
        if not part.startswith("</"):
            inside.append(name[1])
        elif inside:
            inside.pop()
    return "".join(parts)


def unbroken(page: str) -> str:
    """Words of code in tables, such as --seed, wrapped so that a narrow column does not break them at their hyphens."""

    def words(match):
        return re.sub(r"[^\s]*-[^\s]*", lambda word: f'<span class="word">{word[0]}</span>', match[0])

    return _CELL.sub(lambda cell: _CODE.sub(words, cell[0]), page)


def _link(match) -> str:
    address = f"https://doi.org/{match[1]}" if match[1] else f"https://arxiv.org/abs/{match[2]}"
    return f'<a href="{address}">{match[0]}</a>'
