"""The studies that can be run: physnet list"""

import argparse

from physnet import discovery


def command(arguments) -> int:
    """Prints each study with one line about it, and returns 0."""
    argparse.ArgumentParser("physnet list", description="The studies that can be run.").parse_args(arguments)
    found = discovery.studies()
    width = max(map(len, found), default=0)
    for study in found.values():
        print(f"{study.name.ljust(width)}  {study.title}")
    return 0
