"""What it takes to look at a file of 2 GB.

python -m pytest tests/benchmarks/test_large_files.py --benchmark-only -s -n 0
"""

import subprocess
import sys
import time

import numpy as np

from physnet import results
from physnet.variable import Variable

# /proc's own measure of the most memory the process had: that of resource begins with its parent's.
INSPECT = """
import sys
from physnet.cli import main
code = main(["inspect", *sys.argv[1:]])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024, file=sys.stderr)
sys.exit(code)
"""
READ = """
import sys
import xarray as xr
ds = xr.open_dataset(sys.argv[1], decode_times=False)
for name, variable in ds.data_vars.items():
    print(name, float(variable.min()), float(variable.max()))
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) / 1024, file=sys.stderr)
"""


def test_two_gigabytes(benchmark, tmp_path):
    """Against the plain way, a script that takes the smallest and largest value with xarray."""
    path = tmp_path / "large.nc"
    draw = np.random.default_rng(0)
    shape = (16, 1024, 1024)
    variables = [
        (Variable(f"voltage_{k}", ("sample", "row", "column"), "V", "noise"), draw.standard_normal(shape))
        for k in range(17)
    ]
    results.save(results.to_dataset(variables, title="2 GB of noise"), path)
    variables.clear()

    def run(program, *arguments):
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", program, path, *arguments], capture_output=True, text=True, check=True
        )
        return time.perf_counter() - began, float(done.stderr.split()[-1])

    run(INSPECT)
    looks = [run(INSPECT) for _ in range(5)]
    full, plain = benchmark.pedantic(lambda: (run(INSPECT, "--full"), run(READ)), rounds=1)
    seconds, memory = np.median(looks, axis=0)
    print(
        f"\n{path.stat().st_size / 1e9:.2f} GB: inspect {seconds:.2f} s and {memory:.0f} MB; every byte checked "
        f"(--full) {full[0]:.1f} s and {full[1]:.0f} MB; xarray's min and max {plain[0]:.1f} s and {plain[1]:.0f} MB"
    )
