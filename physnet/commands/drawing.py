"""A result file's figures as PNG: physnet figures FILE"""

import argparse
from pathlib import Path

from physnet.errors import PhysnetError
from physnet.figures import figures_of


def command(arguments) -> int:
    """Draws every figure of the file into a folder, and returns 0."""
    parser = argparse.ArgumentParser("physnet figures", description="Draw a result file's figures as PNG.")
    parser.add_argument("file", metavar="FILE", help="a result file (netCDF)")
    parser.add_argument("--out", metavar="DIR", default="figures", help="folder for the pictures (default: figures)")
    options = parser.parse_args(arguments)
    from physnet import results

    ds = results.open(options.file)
    import matplotlib

    matplotlib.use("Agg")  # before a study imports pyplot: no display is needed
    drawn = figures_of(ds, options.file)
    folder = Path(options.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, figure in drawn.items():
            path = folder / f"{name}.png"
            figure.savefig(path, dpi=200)
            print(path)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise PhysnetError(
            f"{folder} cannot hold the figures: {error.strerror or error}. Choose another --out"
        ) from error
    return 0
