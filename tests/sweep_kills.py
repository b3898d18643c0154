"""A sweep that is killed with -9 at random moments and begun again until it is done; prints what was found, as JSON.

Run as `python sweep_kills.py FOLDER KILLS SEED`. One process holds the libraries, without JAX, and forks the sweeps.
"""

import contextlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import sweep_points

import physnet.sweeps.running  # noqa: F401  (before the forks)
from physnet import files, results
from physnet.errors import PhysnetError
from physnet.sweeps import parts, sweep

OVER = {"number": range(1000)}


def run(folder):
    sweep(sweep_points.slow, OVER, out=folder, chunk=50)


def begun(folder) -> int:
    """The process of a sweep that runs by itself."""
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            run(folder)
            os._exit(0)
        os._exit(1)
    return child


def unreadable(folder) -> int:
    found = 0
    for part in parts.parts(folder) if folder.exists() else ():
        try:
            results.open(part.path)
        except PhysnetError:
            found += 1
    return found


def numbers(folder):
    """What every part holds, one after another: points that are there twice or not at all show."""
    held = [results.open(part.path) for part in parts.parts(folder)]
    return [
        np.concatenate([ds[name].values for ds in held]) for name in ("point", "root", "number_read", "point_status")
    ]


def main(base: Path, kills: int, seed: int) -> dict:
    draw = random.Random(seed)
    whole = base / "whole"
    run(whole)
    found = {"kills": 0, "in_a_write": 0, "unreadable": 0, "sweeps": 0, "different": 0, "left_over": 0}
    while found["kills"] < kills:
        folder = base / f"s{found['sweeps']}"
        found["sweeps"] += 1
        while True:
            child = begun(folder)
            time.sleep(draw.uniform(0.0, 0.8))
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                found["different"] += status != 0
                break
            if found["kills"] == kills:  # enough: to the end
                found["different"] += os.waitpid(child, 0)[1] != 0
                break
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            found["kills"] += 1
            found["in_a_write"] += bool(folder.exists() and files.leftovers(folder))
            found["unreadable"] += unreadable(folder)
        found["different"] += not all(map(np.array_equal, numbers(folder), numbers(whole)))
        found["left_over"] += len(set(os.listdir(folder)) - {part.path.name for part in parts.parts(folder)}) - 1
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
