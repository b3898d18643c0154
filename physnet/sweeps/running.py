"""sweep(): the points of a design, part by part, by whoever works, and again from where it stopped."""

import contextlib
import json
import pickle
from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from physnet import provenance
from physnet.errors import PhysnetError
from physnet.files import sole_writer
from physnet.sweeps import combined, labels, parts
from physnet.sweeps.crews import Cluster, InProcess, Processes, WorkerLostError
from physnet.sweeps.design import Design, as_design
from physnet.sweeps.pace import Pace
from physnet.sweeps.rows import MismatchError, Rows
from physnet.sweeps.task import FunctionTask, StudyTask, Task
from physnet.variable import Variable


def sweep(
    task,
    over,
    *,
    config=None,
    out: Path | str | None = None,
    keep: Sequence[str] = (),
    variables: Sequence[Variable] = (),
    chunk: int | None = None,
    workers: int = 1,
    client=None,
    resume: bool = True,
    retry_failed: bool = False,
    progress: bool = False,
):
    """Runs a study or a function at every point of a design, and returns one dataset with a dim for each swept field.

    task: the name of a study; or a function of the swept fields that returns an xarray.Dataset, or {name: number or
    array}; or `Vmapped(function, key=...)` to run a JAX function at many points at a time. over: {field: values} for a
    grid, or a Design: `grid`, `zipped`, `sobol`, `random` and products of them. config: of the study, the fields that
    are not swept; its defaults where None. keep: names of variables to keep, all where empty. variables: unit and
    meaning of what a function's mapping holds (its `dims` without the point), and of fields.

    out: a folder. Points are kept there part by part, each file whole or not there; the result is opened lazily from
    it. None: everything is kept in memory.
    resume: keep the parts of an earlier, stopped run of the same sweep, and run only what is missing or torn.
    retry_failed: run the points that failed as well. progress: show how far it is.
    chunk: points per part; by default as many as take a few seconds. workers: processes on this machine; 1 is this one
    itself, and with more a script must make the call under `if __name__ == "__main__":`, since they are begun anew.
    client: a `dask.distributed.Client`, whose workers run the points instead; this process writes.

    A point that raises is recorded (`point_status` 1, the message in `point_error`, NaN, and 0 for integers) and the
    others go on; so is one whose process dies with it. Results do not depend on chunk, workers or client.
    Raises PhysnetError, before any point is run, for fields, values or a folder that do not fit; for results that do
    not fit into one array; and where another sweep writes to `out` at the same time.
    """
    design = as_design(over)
    task = _task(task, config, keep, variables)
    task.check(design)
    if chunk is not None and chunk < 1:
        raise PhysnetError(f"sweep: chunk is {chunk}; take 1 point or more")
    if workers < 1:
        raise PhysnetError(f"sweep: workers is {workers}; take 1 process or more")
    hire = _hiring(task, workers, client)
    run = _Run(task, design, Pace(chunk, task.lanes(design)), out and Path(out))
    if out is None:
        run.go([(0, design.size)], hire, progress)
        return combined.combine(run.kept, manifest(task, design))
    parts.check_folder(run.folder)
    with sole_writer(run.folder):
        _same_sweep(run.folder, task, design, resume)
        whole = parts.tidy(run.folder, retry_failed=retry_failed)
        run.signature = next(filter(None, (labels.signature(parts.whole(part)) for part in whole)), None)
        run.go(parts.missing(whole, design.size), hire, progress)
        parts.merge(run.folder)
    return combined.open(run.folder)


def _task(task, config, keep, variables) -> Task:
    if isinstance(task, Task):
        return task
    if isinstance(task, str):
        if variables:
            raise PhysnetError("sweep: variables describe what a function returns; a study describes its own")
        return StudyTask(task, config, keep)
    if config is not None:
        raise PhysnetError("sweep: config belongs to a study. Give a function its constants with functools.partial")
    return FunctionTask(task, keep, variables)


def _hiring(task, workers, client):
    """What makes the crew, once there is work. Raises PhysnetError where the task cannot be sent to it."""
    if client is None and workers == 1:
        return InProcess
    try:
        pickle.dumps(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise PhysnetError(
            f"sweep: {task.name} cannot be sent to other processes ({error}). Define it at the top level of a module "
            "that they can import, or take workers=1"
        ) from error
    return partial(Processes, workers) if client is None else partial(Cluster, client)


def manifest(task: Task, design: Design) -> dict:
    """What tells one sweep from another, as JSON holds it."""
    described = {name: vars(task.field(name)) for name in design.fields}
    settings = {"task": task.name, "config": task.settings(), "design": design.to_plain(), "keep": task.keep}
    return json.loads(provenance.config_json({"format": parts.FORMAT, **settings, "fields": described}))


def _same_sweep(folder, task, design, resume) -> None:
    """Notes what is swept, or raises PhysnetError where the folder holds another sweep."""
    asked = manifest(task, design)
    if parts.is_sweep(folder) and resume:
        held = parts.read_manifest(folder)
        different = sorted(name for name in {*asked, *held} - {"fields"} if asked.get(name) != held.get(name))
        if different:
            raise PhysnetError(
                f"{folder} holds another sweep (of {held.get('task')}; different: {', '.join(different)}). Give the "
                "same study, options and values to go on, or choose another --out, or start again with --force"
            )
        return
    parts.clear(folder)
    parts.write_manifest(folder, asked)


class _Run:
    """The loop of a sweep: what is to do, who does it, and where it goes."""

    def __init__(self, task: Task, design: Design, pace: Pace, folder: Path | None):
        self.task, self.design, self.pace, self.folder = task, design, pace, folder
        self.signature = None
        self.kept = []  # parts, where there is no folder to write them to
        self._alone = deque()  # ranges whose worker was lost: run again with nothing beside them
        self._pending = {}

    def go(self, ranges, hire, progress) -> None:
        """Runs the points of the ranges by the crew that `hire` makes."""
        from tqdm import tqdm

        todo, failed, size = deque(ranges), 0, self.design.size
        done = size - sum(stop - first for first, stop in ranges)
        bar = tqdm(total=size, initial=done, unit="point", desc=self.task.name, disable=not progress, smoothing=0.1)
        if not todo:
            bar.close()
            return
        with bar, contextlib.closing(hire()) as self.crew:
            while todo or self._alone or self._pending:
                self._hand_out(todo)
                for future in self.crew.ended(self._pending):
                    first, stop, alone = self._pending.pop(future)
                    rows = self._received(future, first, stop, alone)
                    if rows is None:
                        continue
                    self.pace.took(rows)
                    self._keep(labels.part(self.task, self.design, rows))
                    failed += rows.failed
                    bar.set_postfix({"failed": failed} if failed else {}, refresh=False)
                    bar.update(rows.size)

    def _hand_out(self, todo) -> None:
        while todo and len(self._pending) < self.crew.queue:
            first, stop = todo.popleft()
            left = stop - first + sum(b - a for a, b in todo)
            middle = min(first + self.pace.size(left, self.crew.workers), stop)
            self._submit(first, middle, alone=False)
            if middle < stop:
                todo.appendleft((middle, stop))
        if self._alone and not self._pending:
            self._submit(*self._alone.popleft(), alone=True)

    def _submit(self, first, stop, alone) -> None:
        future = self.crew.submit(self.task.rows, self.design, first, stop)
        self._pending[future] = first, stop, alone

    def _received(self, future, first, stop, alone) -> Rows | None:
        """The rows of a call that has ended; None where its worker is gone and the points are to be run again.

        Which of the calls at hand brought a worker down shows when they are run alone, and which point when halved.
        """
        try:
            return self.crew.result(future)
        except WorkerLostError as error:
            if alone and stop - first == 1:
                return Rows(first, [str(error)])
            middle = (first + stop) // 2 if alone else stop
            self._alone.extend(ends for ends in ((first, middle), (middle, stop)) if ends[0] < ends[1])
            return None

    def _keep(self, part) -> None:
        """Writes a part, or holds it; raises MismatchError where it does not fit to those before it."""
        signature = labels.signature(part)
        if signature and self.signature and signature != self.signature:
            name = next(n for n in {*signature, *self.signature} if signature.get(n) != self.signature.get(n))
            raise MismatchError(
                f"sweep: '{name}' has another shape, type or labels in points {int(part.point[0])} to "
                f"{int(part.point[-1])} than before. Variables that change from point to point do not fit into one "
                "array: name those to keep (keep=, --keep)"
            )
        self.signature = self.signature or signature
        if self.folder is None:
            self.kept.append(part)
        else:
            parts.write(self.folder, part)
