"""Training that is killed at any moment, kill -9, goes on and ends at the same numbers, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from physnet import results
from physnet.files import leftovers

# Imports once, then trains in a fork for every line it reads: "PATH EPOCHS". It has one thread and no JAX backend then,
# so that forking is sound; children take their compiled programs from the first child's cache.
ZYGOTE = """
import os, sys, warnings
import jax, numpy as np, optax
from circuits import BlockDescent, LayeredNetwork
from physnet import Data, OneSided, SquaredError, fit, results
import diffrax, xarray, netCDF4, filelock, tqdm

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_compilation_cache_dir", sys.argv[1])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
images, labels = np.random.default_rng(0).random((160, 64)), np.arange(160) % 10


def train(path, epochs):
    network = LayeredNetwork.random((64, 10), key=jax.random.key(0), input_gain=30.0)
    fit(
        network,
        Data(images, np.eye(10)[labels]),
        cost=SquaredError(),
        nudging=OneSided(0.05),
        relaxer=BlockDescent(tolerance=1e-6, nudged_tolerance=1e-4),
        optimiser=optax.sgd(0.02, momentum=0.5),
        epochs=epochs,
        batch_size=8,
        key=jax.random.key(1),
        out=path,
        resume=True,
        throw=False,
    )


warnings.simplefilter("ignore", RuntimeWarning)  # JAX does not like forks: it has not begun to work in this process
print("ready", flush=True)
for line in sys.stdin:
    assert len(os.listdir("/proc/self/task")) == 1
    path, epochs = line.split()
    child = os.fork()
    if not child:
        train(path, int(epochs))
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc before it forks")


class Trainers:
    """Starts training processes, quickly, one at a time."""

    def __init__(self, cache):
        environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": environment}
        self.process = subprocess.Popen([sys.executable, "-c", ZYGOTE, cache], **pipes)
        assert self._answer() == "ready"

    def _answer(self):
        return self.process.stdout.readline().strip()

    def start(self, path, epochs) -> int:
        """The process id of a run."""
        print(path, epochs, file=self.process.stdin, flush=True)
        return int(self._answer())

    def status(self) -> int:
        """Waits for the run to end: its exit status, or minus the signal that ended it."""
        return int(self._answer())

    def close(self):
        self.process.communicate()


@pytest.fixture(scope="module")
def trainers(tmp_path_factory):
    trainers = Trainers(tmp_path_factory.mktemp("cache"))
    yield trainers
    trainers.close()


def kill_at_some_moment(pid, path, kind, rng):
    """kill -9: at any time from the start on, between epochs or within one, or while the file is being written."""
    if kind == "start":
        time.sleep(rng.uniform(0, 1.0))
    elif kind == "epoch":
        before = stamp(path)
        wait_until(lambda: stamp(path) != before, pid)
        time.sleep(rng.uniform(0, 0.1))
    else:
        while alive(pid):
            wait_until(lambda: leftovers(path), pid)
            time.sleep(rng.uniform(0, 0.006))
            os.kill(pid, signal.SIGSTOP)
            time.sleep(0.002)
            if leftovers(path):
                break
            os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGKILL)


def wait_until(happened, pid):
    deadline = time.monotonic() + 60
    while not happened() and alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.0005)


def stamp(path):
    return path.stat().st_mtime_ns if path.exists() else None


def alive(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def survive(trainers, folder, kills, epochs):
    """(run at one go, run killed over and over, how many of the kills left a file half written)."""
    whole, broken = folder / "whole.nc", folder / "broken" / "run.nc"
    broken.parent.mkdir()
    trainers.start(whole, epochs)
    assert trainers.status() == 0
    rng, done, within = random.Random(5), 0, 0
    while done < kills:
        kill_at_some_moment(trainers.start(broken, epochs), broken, ("write", "epoch", "start")[done % 3], rng)
        status = trainers.status()
        assert status == -signal.SIGKILL, f"after {done} kills the run was over: give it more epochs"
        done += 1
        within += len(leftovers(broken))
        assert len(leftovers(broken)) <= 1  # the next run removes what the last one left
        if broken.exists():
            results.open(broken)
    print(f"{done} kills, {within} during a write, {results.open(broken).epoch.size} epochs by then")
    trainers.start(broken, epochs)
    assert trainers.status() == 0
    assert [entry.name for entry in broken.parent.iterdir()] == ["run.nc"]
    return results.open(whole), results.open(broken), within


def assert_equal_but_for_time(a, b):
    assert set(a.variables) == set(b.variables)
    for name in set(a.variables) - {"wall_time"}:
        assert a[name].values.tobytes() == b[name].values.tobytes(), name


def test_three_kills_change_nothing(trainers, tmp_path):
    whole, broken, within = survive(trainers, tmp_path, kills=3, epochs=12)
    assert within >= 1
    assert_equal_but_for_time(whole, broken)
    assert whole.epoch.size == 12


@pytest.mark.slow
def test_a_hundred_kills_change_nothing(trainers, tmp_path):
    whole, broken, within = survive(trainers, tmp_path, kills=100, epochs=400)
    assert within >= 34
    assert_equal_but_for_time(whole, broken)
