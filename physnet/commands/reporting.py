"""Results as one HTML page: physnet report FILE|DIR ... --out report.html"""

import argparse
import sys


def command(arguments) -> int:
    """Writes the page and prints where it lies; 1 when one of the results could not be read."""
    parser = argparse.ArgumentParser(
        "physnet report",
        description="One HTML page of results that needs nothing else, no network and no simulator: summary, figures, "
        "convergence, provenance, every variable.",
    )
    parser.add_argument("paths", nargs="+", metavar="FILE|DIR", help="a result file, a folder of them, or a sweep")
    parser.add_argument("--out", metavar="HTML", default="report.html", help="the page (default: report.html)")
    parser.add_argument("--force", action="store_true", help="overwrite the page")
    options = parser.parse_args(arguments)
    import matplotlib

    matplotlib.use("Agg")  # before a study imports pyplot: no display is needed
    from physnet import report

    sections = report.write(options.paths, options.out, overwrite=options.force)
    unread = [section for section in sections if section.error]
    for section in unread:
        print(f"physnet: error: {section.error}", file=sys.stderr)
    print(options.out)
    return int(bool(unread))
