"""What differs between two results: physnet compare A B"""

import argparse
import math


def command(arguments) -> int:
    """Prints what differs between two results; 0 when their numbers agree, 1 when not."""
    parser = argparse.ArgumentParser(
        "physnet compare",
        description="What differs between two results: settings, provenance, numbers. "
        "Exit status 0 when the numbers agree, 1 when not or when a file cannot be read.",
    )
    parser.add_argument("a", metavar="A", help="a result file (netCDF), or the folder of a sweep")
    parser.add_argument("b", metavar="B", help="another")
    help_of = "%s tolerance of floats%s (default: %%(default)g)"
    parser.add_argument("--rtol", type=_tolerance, default=1e-10, help=help_of % ("relative", ""))
    parser.add_argument(
        "--atol", type=_tolerance, default=0.0, help=help_of % ("absolute", ", in each variable's unit")
    )
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    from physnet.differences import compare

    with _opened(options.a) as a, _opened(options.b) as b:
        found = compare(a, b, rtol=options.rtol, atol=options.atol, names=(options.a, options.b))
    print(found.to_json() if options.json else found)
    return 0 if found.agree else 1


def _opened(path):
    """The dataset of a file, each byte of it checked, or of a sweep's folder, while the block lasts."""
    from physnet.figures import is_sweep

    if is_sweep(path):
        from physnet import sweeps

        return sweeps.open(path)
    from physnet import results

    return results.look(path, whole=True)


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"'{text}' is no number >= 0; give one such as 1e-6")
    return value
