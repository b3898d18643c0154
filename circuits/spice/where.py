"""Where in a deck something stands, and the error that says so."""

from dataclasses import dataclass

from physnet.errors import PhysnetError


class DeckError(PhysnetError):
    """An error in a deck; its text begins with the file and the line."""


@dataclass(frozen=True)
class Where:
    """A line of a file, as every message about a deck begins: `deck.cir:12`."""

    file: str
    line: int

    def __str__(self):
        return f"{self.file}:{self.line}"

    def error(self, message: str) -> DeckError:
        """The error to raise about this line."""
        return DeckError(f"{self}: {message}")


def shown(text: str, limit: int = 60) -> str:
    """Text of a deck as a message quotes it: one line, cut where it is long."""
    text = "".join(c if c.isprintable() else "?" for c in text)
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")
