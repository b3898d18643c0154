"""The page of `physnet report`: what it says, what it escapes, and what is left when something goes wrong."""

import base64
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from html_page import check_harmless, read

from physnet import provenance, report, results
from physnet.cli import main
from physnet.markup import element
from physnet.variable import Variable

pytest_plugins = ("toys",)

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = """<script>alert('x')</script>"><img src=http://example.org/x onerror=alert(1)>"""


def steady(**attrs):
    """Two states, one of them not converged."""
    arrays = [
        (Variable("voltage", ("sample", "node"), "V", "node voltage"), np.arange(4.0).reshape(2, 2)),
        (Variable("residual", ("sample",), "A", "imbalance"), np.array([1e-9, np.nan])),
        (Variable("converged", ("sample",), "1", "whether it settled"), np.array([True, False])),
    ]
    return results.to_dataset(arrays, title="Two states", summary="Stored words.", attrs=attrs)


@pytest.fixture
def toy_result(importable, capsys):
    assert main(["run", "toy-study", "--quick"]) == 0
    capsys.readouterr()
    return importable


def test_the_page_of_a_study_says_everything(toy_result, capsys):
    assert main(["report", "toy-study.nc"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("report.html\n", "")
    page, ds = read(), results.open("toy-study.nc")
    check_harmless(page)
    text = page.text()
    for words in (
        *("reached 1.0 V in 2 steps", "physnet run --from toy-study.nc", "It follows the schema physnet-1"),
        *("step_voltage 0.5", "Voltage of one step", "V 0.5 to 1 voltage", "step 2 float64"),
        *(f"numpy {np.__version__}", ds.physnet_config_sha256, ds.date_created, ds.physnet_git),
    ):
        assert words in text, words
    (image,) = page.all("img")
    kind, data = image["src"].split(";base64,")
    assert kind == "data:image/svg+xml" and base64.b64decode(data).startswith(b"<?xml")
    assert image["alt"] == "voltage: voltage (V) against step"
    assert [meta["content"] for meta in page.all("meta") if meta.get("name") == "viewport"]


def test_states_that_did_not_converge_are_named(importable):
    results.save(steady(physnet_study="toy-study"), "a.nc")
    assert main(["report", "a.nc"]) == 0
    text = read().text()
    assert "50 % of the steady states converged; the largest residual is 1e-09 A; 1 residual not finite" in text


def test_departures_from_the_schema_and_their_fixes(importable):
    ds = steady()
    del ds.voltage.attrs["units"]
    ds.to_netcdf("a.nc")
    assert main(["report", "a.nc"]) == 0
    text = read().text()
    assert "1 departure from the schema" in text and "voltage no units write V, A" in text


@pytest.mark.parametrize(
    ("function", "body", "message"),
    [
        ("figures", "raise KeyError('nothing')", "No figures: they could not be drawn (KeyError: 'nothing')."),
        ("figures", "import nothing_of_this_name", "could not be drawn (ModuleNotFoundError"),
        ("summary", "return ds.gone", "the study's own failed (AttributeError"),
    ],
)
def test_a_study_that_fails_costs_only_its_part(toy_result, rewrite, function, body, message):
    rewrite(f"def {function}(ds):\n", f"def {function}(ds):\n    {body}\n")
    assert main(["report", "toy-study.nc"]) == 0
    page = read()
    assert message in page.text() and "V 0.5 to 1 voltage" in page.text()
    assert len(page.all("img")) == (function == "summary")


def test_a_study_that_is_not_installed(importable):
    results.save(steady(physnet_study="gone"), "a.nc")
    assert main(["report", "a.nc"]) == 0
    text = read().text()
    assert "Stored words." in text and "Two states" in text
    assert "No figures: a.nc comes from a study that is not installed: unknown study 'gone'" in text


def test_one_figure_that_cannot_be_drawn_leaves_the_others(toy_result, rewrite):
    rewrite(
        "    return {", "    broken = Figure()\n    broken.suptitle(r'$\\notacommand$')\n    return {'broken': broken, "
    )
    assert main(["report", "toy-study.nc"]) == 0
    page = read()
    assert len(page.all("img")) == 1 and "The figure 'broken' could not be drawn (ValueError" in page.text()


def test_large_figures_become_png(importable):
    from matplotlib.figure import Figure

    from physnet.report_figures import picture

    figure = Figure(figsize=(4, 3))
    points = np.random.default_rng(0).normal(size=(2, 20_000))
    figure.add_subplot(xlabel="first", ylabel=r"$\beta$", title="(a)").plot(*points, ".")
    drawn = picture("cloud", figure)
    kind, data = drawn.source.split(";base64,")
    assert kind == "data:image/png" and base64.b64decode(data).startswith(b"\x89PNG")
    assert drawn.alt == r"(a): \beta against first"
    assert drawn.width / drawn.height == pytest.approx(4 / 3, rel=0.01)


# Text from files.


def test_hostile_text_stays_text(importable):
    ds = steady(physnet_study=HOSTILE, note=HOSTILE, physnet_versions=f'{{"{"<b>"}": "<i>"}}')
    ds.attrs |= {"title": HOSTILE, "summary": HOSTILE, "references": HOSTILE}
    config = provenance.config_json({"<script>": "<script>", "list": [HOSTILE], "nested": {"<a>": HOSTILE}})
    ds.attrs |= {"physnet_config": config, "physnet_config_sha256": provenance.config_sha256(config)}
    name = "v<img src=http:x onerror=alert(1)>"  # netCDF wants a letter first
    ds = ds.assign_coords(label=("node", [HOSTILE, "b"])).rename({"voltage": name, "node": "n<b onclick=alert(1)>"})
    ds[name].attrs |= {"long_name": HOSTILE, "units": "<b>", "note": HOSTILE}
    ds.to_netcdf("a.nc")
    ds.to_netcdf("b.nc")
    assert main(["report", "a.nc", "--out", "one.html"]) == 0
    assert main(["report", "a.nc", "b.nc", "--out", "two.html"]) == 0
    for path in ("one.html", "two.html"):
        page = read(path)
        check_harmless(page)
        assert not page.all("b") or all(not attributes for attributes in page.all("b"))
        assert page.text().count("alert('x')") >= 8


def test_elements_escape_what_is_no_markup():
    assert element("p", "a < b & c", class_='"x"') == '<p class="&quot;x&quot;">a &lt; b &amp; c</p>'
    assert element("p", element("br"), None, 3) == "<p><br>3</p>"
    assert element("input", disabled=True, value=False) == "<input disabled></input>"


# Several results.


def test_a_folder_with_a_damaged_file(toy_result, tmp_path, capsys):
    folder = Path("results")
    folder.mkdir()
    for name in ("b.nc", "a.nc"):
        folder.joinpath(name).write_bytes(Path("toy-study.nc").read_bytes())
    folder.joinpath("cut.nc").write_bytes(Path("toy-study.nc").read_bytes()[:5000])
    folder.joinpath("notes.txt").write_text("not a result")
    folder.joinpath(".a.nc.0123456789ab.tmp").write_text("left over")
    assert main(["report", "results", "--out", "all.html"]) == 1  # as a damaged file is no success
    captured = capsys.readouterr()
    assert captured.out == "all.html\n" and "cut.nc" in captured.err and "damaged" in captured.err
    page = read("all.html")
    check_harmless(page)
    assert page.text().startswith("3 results in results")
    links = [attributes["href"] for attributes in page.all("a")]
    assert links == ["#s1", "#s2", "#s3"]
    assert [attributes["id"] for attributes in page.all("article")] == ["s1", "s2", "s3"]
    assert len(page.all("img")) == 2 and "damaged or unreadable" in page.text()
    assert str(tmp_path) not in Path("all.html").read_text()  # nothing names this machine's folders


def test_only_damaged_files_make_no_page(importable, capsys):
    Path("a.nc").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    assert main(["report", "a.nc"]) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and "a.nc" in captured.err
    assert not Path("report.html").exists()


def test_the_folder_of_a_sweep_is_one_result(importable, capsys):
    from physnet.sweeps import sweep

    sweep(lambda gain, bias: {"product": gain * bias}, {"gain": [1.0, 2.0, 3.0], "bias": [0.5, 0.7]}, out="swept")
    assert main(["report", "swept", "--out", "one.html"]) == 0
    page = read("one.html")
    check_harmless(page)
    assert "product gain 3, bias 2 float64 0.5 to 2.1" in page.text() and page.all("img")
    assert main(["report", ".", "--out", "all.html"]) == 0  # as among the results of a folder
    assert read("all.html").all("article") == read("one.html").all("article")
    assert main(["figures", "swept", "--out", "drawn"]) == 0
    assert len(list(Path("drawn").iterdir())) == len(page.all("img"))


# Where the page goes.


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["toy-study.nc", "--out", "toy-study.nc", "--force"], 1, "is one of the results"),
        ([".", "--out", "toy-study.nc", "--force"], 1, "is one of the results"),
        (["toy-study.nc", "--out", "nowhere/a.html"], 1, "the folder nowhere does not exist"),
        (["toy-study.nc", "--out", "."], 1, "is a folder"),
        (["toy-stdy.nc"], 1, "toy-stdy.nc does not exist. Did you mean toy-study.nc"),
        (["empty"], 1, "empty holds no result"),
        ([], 2, "FILE|DIR"),
        (["toy-study.nc", "--colour"], 2, "--colour"),
    ],
)
def test_wrong_command_lines_change_nothing(toy_result, capsys, arguments, code, message):
    Path("empty").mkdir()
    before = Path("toy-study.nc").read_bytes()
    assert main(["report", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == "" and message in captured.err
    assert sorted(path.name for path in Path().iterdir()) == ["empty", "toy-study.nc"]
    assert Path("toy-study.nc").read_bytes() == before


def test_a_page_is_kept_unless_told(toy_result, capsys):
    Path("report.html").write_text("mine")
    assert main(["report", "toy-study.nc"]) == 1
    assert "report.html exists" in capsys.readouterr().err
    assert Path("report.html").read_text() == "mine"
    assert main(["report", "toy-study.nc", "--force"]) == 0
    assert "reached 1.0 V" in Path("report.html").read_text()


def as_process(folder, *arguments, before="", **options):
    program = (
        f"{before}\nimport sys, physnet.cli\n"
        "code = physnet.cli.main(sys.argv[1:])\n"
        "print(sorted({'jax', 'jaxlib', 'equinox'} & set(sys.modules)), code)"
    )
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program, "report", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        **options,
    )


def test_a_full_disk_leaves_the_old_page(tmp_path):
    results.save(steady(), tmp_path / "a.nc")
    (tmp_path / "report.html").write_text("mine")

    # The kernel refuses what no disk could take.
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))"
    done = as_process(tmp_path, "a.nc", "--force", before=limit)
    assert done.stdout == "[] 1\n" and "report.html could not be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "report.html").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nc", "report.html"]


def test_reports_never_load_the_simulator(tmp_path):
    """As every study's summary and figures: their modules are imported here, and drawn from results under `slow`."""
    names = [
        path.stem for path in sorted((ROOT / "studies").glob("*.py")) if "figures" in path.stem or path.stem[0] != "_"
    ]
    program = f"import sys, importlib\nfor n in {names!r}: importlib.import_module('studies.' + n)\n"
    program += "import physnet.report, physnet.repeat\nprint(sorted({'jax', 'equinox'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout == "[]\n" and len(names) > 20


@pytest.mark.slow
@pytest.mark.parametrize("study", ["flow-network", "gradient-quality", "synchronisation-map", "energy-landscape"])
def test_the_page_of_a_real_study_needs_no_simulator(study, tmp_path):
    command = [sys.executable, "-m", "physnet", "run", study, "--quick", "--out", "a.nc"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    done = as_process(tmp_path, "a.nc")
    assert done.stdout == "report.html\n[] 0\n" and done.stderr == ""
    page = read(tmp_path / "report.html")
    check_harmless(page)
    assert page.all("img") and all(image["alt"] for image in page.all("img"))


def test_from_python(toy_result, tmp_path):
    (section,) = report.write(["toy-study.nc"], tmp_path / "a.html")
    assert section.name == "toy-study.nc" and section.error == "" and section.notes == ()
    assert [picture.name for picture in section.pictures] == ["voltage"]
    assert read(tmp_path / "a.html").all("img")[0]["src"] == section.pictures[0].source
