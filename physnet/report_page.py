"""The page of `physnet report`: sections of results laid out as HTML."""

import json
from datetime import UTC, datetime

from physnet import provenance
from physnet.markup import Markup, element, joined
from physnet.report_style import STYLE

# Nothing is fetched and nothing runs, even if a file were to bring markup of its own.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
SHOWN_APART = ("title", "summary", "physnet_config", "physnet_versions", "Conventions")
LABELS = {
    "physnet_study": "study",
    "physnet_git": "git commit",
    "physnet_config_sha256": "configuration, SHA-256",
    "date_created": "created",
}
INTEGRITY = {
    "whole": "Every byte is as it was written (SHA-256).",
    "labels": "Labels, text and attributes are as they were written (SHA-256).",
    "unsealed": "The file bears no seal: it is from an older physnet, or from another program.",
    "parts": "Each part of the sweep was checked as it was read.",
}


def page(sections, title: str) -> Markup:
    """The whole page of `sections` (physnet.report.Section), as HTML text."""
    several = len(sections) > 1
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    articles = [_article(section, f"s{k}", several) for k, section in enumerate(sections, 1)]
    body = element(
        "body",
        element("header", element("h1", title), _contents(sections) if several else None),
        element("main", *articles),
        element("footer", f"Written by physnet {provenance.version()} on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."),
    )
    return joined([Markup("<!DOCTYPE html>\n"), element("html", head, body, lang="en")])


def _contents(sections) -> Markup:
    """A line for each result, with what deserves a look before its numbers are used."""
    rows = []
    for k, section in enumerate(sections, 1):
        title = section.card.title if section.card else "cannot be read"
        link = element("a", section.name, href=f"#s{k}")
        rows.append(element("tr", _short(link), _long(title), _short(_state(section))))
    return element("nav", _table(("file", "title", "state"), rows), aria_label="Contents")


def _state(section) -> Markup:
    if section.card is None:
        return element("span", "damaged or unreadable", class_="bad")
    found, convergence = [], section.card.convergence
    if convergence is not None and convergence.fraction < 1:
        found.append(f"{_percent(convergence.fraction)} converged")
    if section.card.violations:
        found.append(_counted(len(section.card.violations), "departure") + " from the schema")
    return element("span", "; ".join(found), class_="warn") if found else element("span", "good", class_="good")


def _article(section, anchor: str, several: bool) -> Markup:
    heading = element("h2", section.card.title or section.name if section.card else section.name) if several else None
    if section.card is None:
        return element("article", heading, element("p", section.error, class_="note bad"), id=anchor)
    level = "h3" if several else "h2"
    parts = [
        ("Summary", [element("pre", section.summary, class_="summary")] if section.summary else []),
        ("", [element("p", note, class_="note warn") for note in section.notes]),
        ("Figures", [_figure(k, shown) for k, shown in enumerate(section.pictures, 1)]),
        ("Convergence", [_convergence(section.card.convergence)]),
        ("Schema and integrity", [_schema(section.card.violations), element("p", INTEGRITY[section.card.checked])]),
        ("Provenance", _provenance(section)),
        ("Variables", _variables(section.card)),
        ("Contents", [element("div", Markup(section.listing), class_="scroll listing")]),
    ]
    shown = []
    for name, content in parts:
        if content:
            shown.append(element("section", element(level, name) if name else None, *content))
    return element("article", heading, element("p", section.name, class_="file"), *shown, id=anchor)


def _figure(number: int, shown) -> Markup:
    image = element(
        "img", src=shown.source, alt=shown.alt or shown.name, width=shown.width, height=shown.height, decoding="sync"
    )
    name = shown.name.replace("_", " ").capitalize()
    caption = element("figcaption", element("b", f"{number}. {name}"), f": {shown.alt}." if shown.alt else ".")
    # Wide figures keep legible letters on a phone, and scroll.
    frame = element("div", image, class_="picture", style=f"--width: {shown.width}px", tabindex=0)
    return element("figure", frame, caption)


def _convergence(convergence) -> Markup:
    if convergence is None:
        return element("p", "No steady states in this result.")
    text = f"{_percent(convergence.fraction)} of the steady states converged"
    if convergence.largest_residual is not None:
        text += f"; the largest residual is {convergence.largest_residual:.3g} {_unit(convergence.units)}".rstrip()
    if convergence.not_finite:
        text += f"; {_counted(convergence.not_finite, 'residual')} not finite"
    text += " (of a sample)" if convergence.seen == "sample" else ""
    good = convergence.fraction == 1 and not convergence.not_finite
    return element("p", f"{text}.", class_=f"note {'good' if good else 'warn'}")


def _schema(violations) -> Markup:
    if not violations:
        return element("p", "It follows the schema physnet-1.", class_="note good")
    rows = [element("tr", _short(v.variable), _long(v.rule), _long(v.fix)) for v in violations]
    counted = element("p", f"{_counted(len(violations), 'departure')} from the schema physnet-1.", class_="note warn")
    return joined([counted, _table(("where", "rule", "fix"), rows)])


def _provenance(section) -> list[Markup]:
    attributes = section.card.attributes
    found = []
    if attributes.get("physnet_study") and section.card.checked != "parts":  # a sweep is many runs
        found.append(element("p", "Repeat this run: ", element("code", f"physnet run --from {section.name}")))
    rows = []
    for name, value in attributes.items():
        if name not in SHOWN_APART and str(value).strip():
            label = LABELS.get(name, name.removeprefix("physnet_").replace("_", " "))
            rows.append(element("tr", _heading(label), _value(value)))
    found.append(_table((), rows))
    config = _decoded(attributes.get("physnet_config", ""))
    if isinstance(config, dict) and config:
        found += [element("h4", "Configuration"), _configuration(config, section.fields or {})]
    versions = _decoded(attributes.get("physnet_versions", ""))
    if isinstance(versions, dict) and versions:
        text = ", ".join(f"{package} {version}" for package, version in versions.items())
        found += [element("h4", "Versions"), element("p", text)]
    return found


def _configuration(config: dict, fields) -> Markup:
    rows = []
    for name, value in config.items():
        field = fields.get(name)
        said = (_long(_unit(field.units)), _long(field.long_name)) if field else ()
        rows.append(element("tr", _heading(element("code", name)), _value(value), *said))
    return _table(("field", "value", "unit", "meaning") if fields else ("field", "value"), rows)


def _variables(card) -> list[Markup]:
    found = []
    for heading, wanted in (("Data", False), ("Coordinates", True)):
        rows = [_variable(variable) for variable in card.variables if variable.coordinate is wanted]
        if rows:
            heads = ("name", "shape", "type", "unit", "range", "what it is")
            found += [element("h4", heading), _table(heads, rows)]
    return found


def _variable(card) -> Markup:
    shape = ", ".join(f"{dim} {size}" for dim, size in zip(card.dims, card.shape)) or "one value"
    span = "" if card.lowest is None else f"{card.lowest:.4g} to {card.highest:.4g}"
    notes = [card.long_name] if card.long_name else []
    notes += [{"stated": "range as written in the file", "sample": "range of a sample"}.get(card.seen)]
    notes += [f"{card.missing} not finite"] if card.missing else []
    notes += [f"{card.outside} outside the valid range"] if card.outside else []
    cells = [_short(text) for text in (shape, card.dtype, _unit(card.units), span)]
    return element("tr", _heading(element("code", card.name)), *cells, _long("; ".join(filter(None, notes))))


def _table(heads, rows) -> Markup:
    """A table that scrolls where the page is too narrow for it."""
    row = element("thead", element("tr", *(element("th", head, scope="col") for head in heads))) if heads else None
    return element("div", element("table", row, element("tbody", *rows)), class_="scroll", tabindex=0)


def _heading(name) -> Markup:
    """The cell that names its row."""
    return element("th", name, scope="row")


def _short(text) -> Markup:
    """A cell that stays in one line."""
    return element("td", text)


def _long(text) -> Markup:
    """A cell that breaks into lines."""
    return element("td", text, class_="long")


def _value(value) -> Markup:
    """A cell with a value for reading: JSON of objects indented, sequences in one line."""
    decoded = _decoded(value) if isinstance(value, str) and value[:1] in ("{", "[") else value
    if isinstance(decoded, dict) and decoded:
        return _long(element("pre", json.dumps(decoded, indent=1, ensure_ascii=False)))
    if isinstance(decoded, list) and decoded:
        items = [item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in decoded]
        return _long(", ".join(items))
    return _long(value)


def _decoded(text):
    """What JSON text says, or the text itself where it is none."""
    try:
        return json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return text


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _percent(fraction: float) -> str:
    # 0.9999 must not read 100 %.
    return "100 %" if fraction == 1 else f"{min(100 * fraction, 99.99):.4g} %"


def _unit(units: str) -> str:
    return "" if units == "1" else units
