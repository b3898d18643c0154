"""What results hold: physnet inspect FILE ..."""

import argparse
import sys

from physnet.errors import PhysnetError


def command(arguments) -> int:
    """Prints a card of each file or sweep; 1 when one of them cannot be read."""
    parser = argparse.ArgumentParser(
        "physnet inspect", description="What results hold, where they come from, and whether they follow the schema."
    )
    parser.add_argument("files", nargs="+", metavar="FILE", help="a result file (netCDF), or the folder of a sweep")
    parser.add_argument("--full", action="store_true", help="read every value and check every byte, whatever the size")
    parser.add_argument("--json", action="store_true", help="one line of JSON per file")
    options = parser.parse_args(arguments)
    from physnet.inspection import inspect

    code = 0
    for i, path in enumerate(options.files):
        try:
            card = inspect(path, full=options.full)
        except PhysnetError as error:  # the other files are still worth showing
            print(f"physnet: error: {error}", file=sys.stderr)
            code = 1
            continue
        print(card.to_json() if options.json else f"\n{card}" if i else card)
    return code
