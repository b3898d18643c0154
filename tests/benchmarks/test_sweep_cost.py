"""What a sweep costs beside its points.

python -m pytest tests/benchmarks/test_sweep_cost.py --benchmark-only -s -n 0
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import sweep_points

from physnet.sweeps import sweep

POINTS = 10_000
HERE = Path(__file__).parents[1]


def test_ten_thousand_points_of_a_millisecond(benchmark, tmp_path):
    """Against a bare loop that keeps a list, and the floor: the work itself. On two cores against joblib."""
    from joblib import Parallel, delayed

    def loop():
        return [sweep_points.slow(number) for number in range(POINTS)]

    def swept(workers=1):
        folder = tmp_path / f"s{time.monotonic_ns()}"
        return sweep(sweep_points.slow, {"number": range(POINTS)}, out=folder, workers=workers)

    sweep(sweep_points.slow, {"number": range(10)}, out=tmp_path / "first")  # libraries
    bare, kept = [], []
    for _ in range(3):
        for times, run in ((bare, loop), (kept, swept)):
            began = time.perf_counter()
            run()
            times.append(time.perf_counter() - began)
    began = time.perf_counter()
    benchmark.pedantic(swept, args=(2,), rounds=1)
    two = time.perf_counter() - began
    began = time.perf_counter()
    Parallel(n_jobs=2)(delayed(sweep_points.slow)(number) for number in range(POINTS))
    joblib = time.perf_counter() - began
    over = 100 * (np.median(kept) / np.median(bare) - 1)
    print(
        f"\n{POINTS} points: bare loop {np.median(bare):.2f} s, sweep {np.median(kept):.2f} s, overhead {over:.1f} %; "
        f"two processes {two:.2f} s (begun and ended), joblib {joblib:.2f} s, which keeps nothing on disk"
    )


MEMORY = """
import json, resource, sys
import numpy as np
import sweep_points
from physnet.sweeps import sweep
sweep(sweep_points.slow, {"number": range(10)}, out=sys.argv[1] + "/first")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sweep(sweep_points.large, {"number": range(int(sys.argv[2]))}, variables=sweep_points.VARIABLES, out=sys.argv[1] + "/s")
print(json.dumps((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024))
"""


def test_memory_is_that_of_a_part(benchmark, tmp_path):
    """Points of 1 MB each: the memory that a sweep of 100 and one of 1000 take beside the libraries."""

    def grown(points):
        folder = tmp_path / str(points)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, folder, str(points)],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": str(HERE)},
        )
        return json.loads(done.stdout)

    few = grown(100)
    many = benchmark.pedantic(grown, args=(1000,), rounds=1)
    print(f"\npoints of 1 MB: 100 take {few:.0f} MB, 1000 take {many:.0f} MB")
