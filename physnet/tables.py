"""Text in columns, as the cards of the command line show it."""


def aligned(rows) -> list[str]:
    """Rows of text (tuples of equal length) in aligned columns, indented by two; the last column runs free."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows)]
    widths[-1:] = [0] if widths else []
    return ["  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def short(text: str, length: int = 60) -> str:
    """`text` on one line of at most `length` characters, its middle left out where it is longer."""
    line = " ".join(text.split())
    keep = (length - 3) // 2
    return line if len(line) <= length else f"{line[:keep]}...{line[-keep:]}"
