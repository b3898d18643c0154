"""The figures of a result: physnet figures FILE"""

import argparse
from pathlib import Path

from physnet import files
from physnet.errors import PhysnetError
from physnet.figures import figures_of, opened


def command(arguments) -> int:
    """Draws every figure of the file or sweep into a folder, and returns 0."""
    parser = argparse.ArgumentParser("physnet figures", description="Draw the figures of a result file or sweep.")
    parser.add_argument("file", metavar="FILE", help="a result file (netCDF), or the folder of a sweep")
    parser.add_argument("--out", metavar="DIR", default="figures", help="folder for the pictures (default: figures)")
    parser.add_argument("--format", choices=("png", "svg", "pdf"), default="png", help="of the pictures (default: png)")
    parser.add_argument(
        "--dpi", type=_resolution, default=200, help="dots per inch of a PNG, and of images within the others (200)"
    )
    options = parser.parse_args(arguments)
    import matplotlib

    matplotlib.use("Agg")  # before a study imports pyplot: no display is needed
    with opened(options.file) as ds:
        drawn = figures_of(ds, options.file)
    folder = Path(options.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PhysnetError(
            f"{folder} cannot hold the figures: {error.strerror or error}. Choose another --out"
        ) from error
    for name, figure in drawn.items():
        path = folder / f"{name}.{options.format}"
        with files.atomic(path) as temporary:
            figure.savefig(temporary, format=options.format, dpi=options.dpi)
        print(path)
    return 0


def _resolution(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 2400:
        raise argparse.ArgumentTypeError(f"'{text}' is no resolution; give 1 to 2400 dots per inch")
    return int(text)
