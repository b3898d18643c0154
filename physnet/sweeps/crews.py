"""Who does the work of a sweep: this process, several on this machine, or the workers of a Dask cluster."""

import abc
import contextlib
import math
import os
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from physnet.errors import PhysnetError


class WorkerLostError(Exception):
    """The process that worked on some points is gone: killed, out of memory, or crashed."""


class Crew(abc.ABC):
    """Takes calls, and says which have ended, until it is closed."""

    workers: int
    queue: int  # calls at hand at a time: two for each worker, so that none waits while a part is written

    @abc.abstractmethod
    def submit(self, function, *arguments):
        """Begins the call; a future of its result."""

    @abc.abstractmethod
    def ended(self, futures) -> set:
        """Those of the futures that have ended, at least one; waits for it."""

    @abc.abstractmethod
    def result(self, future):
        """What a call gave. Raises WorkerLostError where its worker is gone, else what the call raised."""

    @abc.abstractmethod
    def close(self) -> None:
        """Stops the work."""


class InProcess(Crew):
    """This process, one call at a time."""

    workers = queue = 1

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def ended(self, futures) -> set:
        return set(futures)

    def result(self, future):
        return future.result()

    def close(self) -> None:
        pass


class Processes(Crew):
    """Processes on this machine, begun anew (spawned), since one that uses JAX must not be forked."""

    def __init__(self, workers: int):
        self.workers, self.queue = workers, 2 * workers
        self._asked = set()
        self._pool = self._begin()
        try:
            self._pool.submit(os.getpid).result()
        except BrokenProcessPool as error:
            raise PhysnetError(
                "sweep: the worker processes do not start. In a script, call sweep under "
                "if __name__ == '__main__':, or take workers=1"
            ) from error

    def _begin(self):
        import multiprocessing

        return ProcessPoolExecutor(self.workers, multiprocessing.get_context("spawn"), initializer=_prepare)

    def submit(self, function, *arguments):
        try:
            future = self._pool.submit(function, *arguments)
        except BrokenProcessPool:
            self._pool.shutdown(wait=True, cancel_futures=True)
            self._pool = self._begin()
            future = self._pool.submit(function, *arguments)
        self._asked.add(future)
        return future

    def ended(self, futures) -> set:
        return wait(futures, return_when=FIRST_COMPLETED).done

    def result(self, future):
        self._asked.discard(future)
        try:
            return future.result()
        except (BrokenProcessPool, CancelledError) as error:
            raise WorkerLostError("the process that ran this point was killed or crashed") from error

    def close(self) -> None:
        if not all(future.done() for future in self._asked):  # a point may take hours, and nobody waits for it
            for worker in list((getattr(self._pool, "_processes", None) or {}).values()):
                with contextlib.suppress(OSError, ValueError):
                    worker.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)


def _prepare() -> None:
    """In a new worker: Ctrl-C is the parent's affair, and without the parent there is nothing to do."""
    import multiprocessing

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch():
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


class Cluster(Crew):
    """The workers of a Dask cluster, through its client; the client stays open."""

    def __init__(self, client):
        self._client = client
        self._asked = set()
        self._counted = -math.inf

    @property
    def workers(self) -> int:
        """Threads of all workers, which come and go: asked every few seconds."""
        if time.monotonic() - self._counted > 5:
            self._threads, self._counted = max(sum(self._client.nthreads().values()), 1), time.monotonic()
        return self._threads

    @property
    def queue(self) -> int:
        return 2 * self.workers

    def submit(self, function, *arguments):
        future = self._client.submit(function, *arguments, pure=False)
        self._asked.add(future)
        return future

    def ended(self, futures) -> set:
        from distributed import wait

        return set(wait(list(futures), return_when="FIRST_COMPLETED").done)

    def result(self, future):
        from distributed import KilledWorker
        from distributed.client import FutureCancelledError

        self._asked.discard(future)
        try:
            return future.result()
        except (KilledWorker, FutureCancelledError) as error:
            raise WorkerLostError("the worker that ran this point was killed or crashed, more than once") from error
        except PhysnetError:
            raise
        except Exception as error:  # a point's own failures never come this way
            raise PhysnetError(
                f"the cluster cannot run the points ({type(error).__name__}: {error}). Install the same "
                "versions of physnet and of what is swept on every worker"
            ) from error

    def close(self) -> None:
        with contextlib.suppress(Exception):  # a cluster that is gone has nothing to cancel
            self._client.cancel(list(self._asked), force=True)


@contextlib.contextmanager
def connected(address: str):
    """A client of the Dask scheduler at an address such as "tcp://10.0.0.1:8786".

    Raises PhysnetError where the package `distributed` is missing or nothing answers within 10 s.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise PhysnetError("a Dask scheduler needs the package distributed: pip install 'physnet[dask]'") from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError, TimeoutError) as error:
        raise PhysnetError(f"no Dask scheduler answers at {address} ({error}). Check --scheduler") from error
    try:
        yield client
    finally:
        client.close()
