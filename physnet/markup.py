"""HTML from Python: elements whose text is escaped, so that nothing a file holds is ever read as markup."""

from html import escape


class Markup(str):
    """Text that is HTML already and goes into a page as it is; every other text is escaped."""

    __slots__ = ()


VOID = frozenset({"br", "hr", "img", "link", "meta"})  # elements that have no end tag


def element(tag: str, *children, **attributes) -> Markup:
    """An HTML element.

    children: Markup as it is, None left out, anything else as escaped text. attributes: by name, a trailing underscore
    dropped and others as hyphens (class_, http_equiv); None and False are left out, True gives the bare name.
    """
    given = "".join(_attribute(name, value) for name, value in attributes.items() if value not in (None, False))
    start = f"<{tag}{given}>"
    return Markup(start if tag in VOID else f"{start}{joined(children)}</{tag}>")


def joined(children, between: str = "") -> Markup:
    """Children one after another, with `between` (HTML) between them."""
    return Markup(between.join(_text(child) for child in children if child is not None))


def _text(child) -> str:
    return str(child) if isinstance(child, Markup) else escape(str(child))


def _attribute(name, value) -> str:
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
