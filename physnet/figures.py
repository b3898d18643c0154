"""Which code reads and draws a result: that of a sweep, that of the study a file names, or that of landscapes."""

import contextlib
from pathlib import Path

from physnet import discovery
from physnet.errors import PhysnetError


def is_sweep(path) -> bool:
    """Whether `path` is the folder of a sweep, which is read and drawn as one result."""
    if not Path(path).is_dir():
        return False
    from physnet import sweeps

    return sweeps.is_sweep(path)


@contextlib.contextmanager
def opened(path):
    """The dataset of a result file or of a sweep's folder while the block lasts; numbers are read where used.

    path: of the file or folder. Raises PhysnetError naming the path when it is missing, damaged, or no result of
    physnet.
    """
    if is_sweep(path):
        from physnet import sweeps

        with sweeps.open(path) as ds:
            yield ds
    else:
        from physnet import results

        with results.look(path, whole=True) as ds:
            yield ds


def figures_of(ds, path):
    """{name: matplotlib figure} of a sweep; by the study that the dataset names; without one, those of a landscape.

    ds: the dataset. path: where it lies; a sweep is told by its folder. Raises PhysnetError when nothing installed can
    draw it.
    """
    if is_sweep(path):
        from physnet.sweeps import drawing

        return drawing.figures(ds)
    name = ds.attrs.get("physnet_study")
    if name is None:
        from physnet.landscape.drawing.pages import figures

        try:
            return figures(ds)
        except PhysnetError as error:
            raise PhysnetError(f"{path} names no study (attribute physnet_study), and {error}") from error
    return study_of(ds, path).figures(ds)


def study_of(ds, path):
    """The module of the study that the dataset names. Raises PhysnetError when it names none or it is not installed."""
    name = ds.attrs.get("physnet_study")
    if name is None:
        raise PhysnetError(f"{path} names no study (attribute physnet_study)")
    try:
        return discovery.load(str(name))
    except discovery.UnknownStudyError as error:
        raise PhysnetError(f"{path} comes from a study that is not installed: {error}") from error
