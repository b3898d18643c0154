"""Sweeps under kill -9, on clusters that lose workers, on one device and on two: the same numbers, every point once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import sweep_jax
import sweep_points

from physnet import results
from physnet.errors import PhysnetError
from physnet.sweeps import Vmapped, sweep
from physnet.sweeps.crews import connected

HERE = Path(__file__).parent


def python(*arguments, **environment):
    """What a Python program prints, as JSON; it finds this folder's modules."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(HERE)} | environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_random_moments_every_point_is_there_once(kills, tmp_path):
    found = python(HERE / "sweep_kills.py", tmp_path, kills, kills)
    print(found)
    assert found["kills"] == kills
    assert (found["unreadable"], found["different"], found["left_over"]) == (0, 0, 0)


@pytest.mark.slow
def test_workers_end_with_the_process_that_began_them(tmp_path):
    """kill -9 of a sweep with two workers: they are gone soon after, and the sweep goes on from what is there."""
    program = (
        "import sweep_points\nfrom physnet.sweeps import sweep\n"
        "if __name__ == '__main__':\n"
        f"    folder = {str(tmp_path / 's')!r}\n"
        "    sweep(sweep_points.slow, {'number': range(100_000)}, out=folder, workers=2, chunk=100)\n"
    )
    script = tmp_path / "program.py"
    script.write_text(program)
    process = subprocess.Popen([sys.executable, script], env=os.environ | {"PYTHONPATH": str(HERE)})
    while not list((tmp_path / "s").glob("part-*.nc")):
        assert process.poll() is None
        time.sleep(0.05)
    workers = children(process.pid)
    assert len(workers) >= 2
    process.kill()
    process.wait()
    until = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.05)


def children(process) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.filterwarnings("ignore")  # of distributed, about ports and processes that are gone
def test_a_dask_cluster_that_loses_a_worker_gives_the_same():
    distributed = pytest.importorskip("distributed")
    here = sweep(sweep_points.slow, {"number": range(1200)})
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as cluster,
        connected(cluster.scheduler_address) as client,
    ):
        killed = []

        def kill():
            time.sleep(0.3)
            worker, process = next(iter(client.run(os.getpid).items()))
            os.kill(process, signal.SIGKILL)
            killed.append(worker)

        thread = threading.Thread(target=kill)
        thread.start()
        there = sweep(sweep_points.slow, {"number": range(1200)}, client=client, chunk=25)
        thread.join()
    assert killed
    assert not there.point_status.any()
    assert there.drop_attrs().identical(here.drop_attrs())


@pytest.mark.slow  # ten seconds of waiting
@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_does_not_answer_is_told():
    pytest.importorskip("distributed")
    message = r"no Dask scheduler answers at tcp://127.0.0.1:1 .*--scheduler"
    with pytest.raises(PhysnetError, match=message), connected("tcp://127.0.0.1:1"):
        pass


DEVICES = """
import json, sys
import jax
jax.config.update("jax_num_cpu_devices", int(sys.argv[1]))
import sweep_jax
from physnet.sweeps import Vmapped, sweep
task = Vmapped(sweep_jax.noisy, key=jax.random.key(7))
ds = sweep(task, sweep_jax.OVER, chunk=int(sys.argv[2]))
numbers = {"mean": ds["mean"].values.tolist(), "count": ds["crossings"].values.tolist()}
print(json.dumps(numbers | {"devices": jax.device_count()}))
"""


def test_devices_and_chunks_do_not_matter():
    """A noisy run whose random numbers belong to the point: one device or two, parts of 7 or 64 points."""
    # XLA's devices on one processor can wait for ever where threads are fewer than they: NPROC says how many it takes.
    two = python("-c", DEVICES, 2, 7, NPROC="8")
    one = sweep(Vmapped(sweep_jax.noisy, key=jax.random.key(7)), sweep_jax.OVER)
    assert (jax.device_count(), two["devices"]) == (1, 2)
    assert one["crossings"].values.tolist() == two["count"]
    assert np.allclose(one["mean"], two["mean"], rtol=0, atol=1e-10)
    assert np.unique(one["mean"]).size == one["mean"].size  # no two points share their noise


@pytest.mark.slow
def test_the_same_sweep_in_four_ways(tmp_path):
    """EP gradients of 200 random circuits: integers equal, numbers within 1e-10."""
    found = {}
    for way in ("one", "processes", "devices", "cluster"):
        path = tmp_path / f"{way}.nc"
        subprocess.run([sys.executable, HERE / "sweep_four_ways.py", way, path], check=True, timeout=600)
        found[way] = results.open(path)
    for way, ds in found.items():
        for name, variable in found["one"].variables.items():
            if variable.dtype.kind == "f":
                difference = np.abs(ds[name].values - variable.values).max()
                print(f"{way}: {name} differs by {difference:.1e}")
                assert difference <= 1e-10
            else:
                assert np.array_equal(ds[name].values, variable.values)
