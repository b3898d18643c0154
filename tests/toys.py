"""A study that takes no time, in a package of its own, registered as an installed one would be."""

import contextlib
import importlib
import sys
from importlib import metadata

import pytest

from physnet import discovery

_ENTRY_POINTS = metadata.entry_points
STUDY = '''"""Counts steps of a toy.

More about it.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Config:
    """What the toy does."""

    steps: int = 20
    """How many steps (1)."""
    step_voltage: float = 0.5
    """Voltage of one step (V)."""
    stop_at: int = -1
    """Step at which someone presses Ctrl-C, -1 for never."""

    def quick(self):
        return replace(self, steps=2)


def run(config, *, out=None, resume=False, progress=True):
    import numpy as np

    from physnet import provenance, results
    from physnet.variable import Variable

    done = list(results.open(out).voltage.values) if resume else []
    attrs = provenance.collect(config, seed=0) | {"physnet_study": "toy_study"}
    for step in range(len(done), config.steps):
        if step == config.stop_at:
            raise KeyboardInterrupt
        done.append((step + 1) * config.step_voltage)
        ds = results.to_dataset(
            [(Variable("voltage", ("step",), "V", "voltage"), np.array(done))], title="toy", attrs=attrs
        )
        if out is not None:
            results.save(ds, out, overwrite=step > 0 or out.exists())
    return ds


def figures(ds):
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot(title="voltage", xlabel="step", ylabel="voltage (V)").plot(ds.voltage)
    return {"voltage": figure}


def summary(ds):
    return f"reached {float(ds.voltage[-1])} V in {ds.sizes['step']} steps"
'''


@contextlib.contextmanager
def _installed(place):
    """The package of studies, registered while the block lasts, and an empty working folder."""
    package, folder = place / "toy_package", place / "work"
    package.mkdir()
    folder.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('listing studies must not import them')\n")
    (package / "_helper.py").write_text("")
    (package / "broken.py").write_text('"""A broken one."""\nimport nothing_of_this_name\n')
    (package / "unfinished.py").write_text('"""An unfinished one."""\n')
    (package / "toy_study.py").write_text(STUDY)
    entry = metadata.EntryPoint("toys", "toy_package", discovery.GROUP)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metadata, "entry_points", lambda **query: _entries(entry, **query))
        patch.syspath_prepend(place)
        patch.chdir(folder)
        yield package
    _forget()


def _entries(entry, **query):
    """This one study and no further command; what other libraries register for themselves stays."""
    ours = {discovery.GROUP: [entry], discovery.COMMANDS: []}
    return ours[query["group"]] if query.get("group") in ours else _ENTRY_POINTS(**query)


def _made_importable(package):
    (package / "__init__.py").write_text("")
    importlib.invalidate_caches()
    return package


@pytest.fixture
def toy(tmp_path):
    """The package of studies, which nothing may import yet."""
    with _installed(tmp_path) as package:
        yield package


@pytest.fixture
def importable(toy):
    """The package of studies."""
    return _made_importable(toy)


@pytest.fixture(scope="module")
def importable_throughout(tmp_path_factory):
    """The package of studies, for all tests of a module."""
    with _installed(tmp_path_factory.mktemp("toys")) as package:
        yield _made_importable(package)


@pytest.fixture
def rewrite(importable):
    """A function (old, new) that changes the study's code, as someone may between two runs."""

    def rewrite(old, new):
        path = importable / "toy_study.py"
        code = path.read_text()
        assert old in code
        path.write_text(code.replace(old, new))
        _forget()

    return rewrite


def _forget():
    for name in [name for name in sys.modules if name.split(".")[0] == "toy_package"]:
        del sys.modules[name]
