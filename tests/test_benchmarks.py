"""What stands around the timings: results as data, the tables and the picture drawn from them, the list of all benchmarks."""
import importlib
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"
NAMES = [path.stem for path in FOLDER.glob("*.py")]


@pytest.fixture
def load(monkeypatch):
    """Imports a module of the benchmarks, which stand in no package."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module
    for name in NAMES:
        if name not in before:
            sys.modules.pop(name, None)


def small():
    """Two comparisons that count, one that does not, and a table."""
    dense = {"seconds": {"nblayers": [0.001, 0.002, 0.001], "torch": [0.0005, 0.0010, 0.0006], "JAX": [0.002, 0.004, 0.002]},
             "work": 5e7, "unit": "Gflop", "limits": [1e11, 1e11, 1e11], "failed": {"torch.compile": "OSError: no g++"}}
    relu, lstm, other = ({"seconds": {"nblayers": [1.0], "torch": [ratio]}} for ratio in (8.0, 1.4, 0.1))
    return {
        "machine": {"cpu": "A|B", "cores": 2, "date": "2026-01-02", "commit": "abc", "versions": {"numpy": "2.0"}},
        "comparisons": {
            "conv_lstm": {"title": "forward", "target": 1.0, "counted": True, "cases": {"Dense 2->3": dense, "relu": relu}},
            "fit": {"title": "fit", "target": 1.5, "counted": True, "cases": {"LSTM": lstm}},
            "overhead": {"title": "ours", "target": 1.0, "counted": False, "cases": {"x": other}}},
        "tables": {"growth": {"title": "", "columns": ["layer", "measured"], "rows": [["GRU", "1.01"]], "notes": ["why"]}}}


def test_every_file_is_a_benchmark_of_the_list_or_a_helper(load):
    listed = load("all")
    assert sorted(NAMES) == sorted(listed.BENCHMARKS + listed.HELPERS)


def test_the_ratio_is_to_the_fastest_other(load):
    results = load("results")
    dense = small()["comparisons"]["conv_lstm"]["cases"]["Dense 2->3"]
    assert results.ratio(dense) == ("torch", 0.5, 0.5, 0.6)
    assert results.share(dense) == pytest.approx(0.5)           # 5e7 in a millisecond of 1e11 in a second
    assert results.mean(small()["comparisons"]["conv_lstm"]) == pytest.approx(2)


def test_tables_and_picture_are_drawn_from_a_file(load, tmp_path):
    (tmp_path / "small.json").write_text(json.dumps(small()))
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{load('report').BEGIN}\nold\n{load('report').END}\nafter\n")
    command = [sys.executable, str(FOLDER / "all.py"), "--from", "small.json", "--output", "out", "--readme", "README.md"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "3 cases, geometric mean 1.78" in done.stdout                            # (0.5 8 1.4)^(1/3)
    assert "ConvLSTM, lower than 1.00: Dense 2->3 0.50" in done.stdout
    assert "fit, lower than 1.50: LSTM 1.40" in done.stdout
    page = (tmp_path / "out/benchmarks.md").read_text()
    assert "| Dense 2->3 | 1 | *0.6* | 2 | **0.50** | 0.50 to 0.60 | 50 % of Gflop/s |" in page
    assert "torch.compile failed at Dense 2->3: OSError: no g++" in page
    assert "| GRU | 1.01 |" in page and "\nwhy\n" in page and "100 Gflop/s" in page
    assert "old" not in readme.read_text() and "| ConvLSTM | 2 | 2.00 | 0.50, Dense 2->3 |" in readme.read_text()
    assert readme.read_text().startswith("before\n") and readme.read_text().endswith("after\n")
    cases, benchmarks = words(tmp_path / "out/benchmark_cases.svg"), words(tmp_path / "out/benchmarks.svg")
    assert {"Dense 2->3", "relu", "LSTM", "0.50 torch", "50 %", "mean 1.78"} <= cases and "x" not in cases
    assert {"ConvLSTM", "2.00", "fit", "1.40", "mean 1.78"} <= benchmarks and "overhead" not in benchmarks


def words(picture):
    return {text.text for text in ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")}


def test_a_readme_without_the_marks_is_an_error(load, tmp_path):
    (tmp_path / "README.md").write_text("nothing\n")
    with pytest.raises(ValueError, match=r"README\.md: expected the lines <!-- the short table"):
        load("report").write(small(), tmp_path, tmp_path / "README.md")


def test_a_slower_case_has_another_colour(load):
    report = load("report")
    from matplotlib.colors import to_rgba
    bars = [patch for patch in report.picture(small()).axes[0].patches if patch.get_facecolor()]
    assert [patch.get_facecolor() for patch in bars] == [to_rgba(report.WORSE), to_rgba(report.BETTER), to_rgba(report.BETTER)]
    assert [patch.get_x() + patch.get_width() for patch in bars] == pytest.approx([0.5, 8, 1.4])


def test_the_same_results_make_the_same_picture(load):
    report = load("report")
    for draw in (report.picture, report.overview):
        assert report.svg(draw(small())) == report.svg(draw(small()))


def test_page_and_readme_show_the_results_that_are_kept(load):
    report, found = load("report"), load("results").load(ROOT / "docs/benchmarks.json")
    assert (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8") == report.markdown(found)
    assert f"{report.BEGIN}\n{report.short_table(found)}\n{report.END}" in (ROOT / "README.md").read_text(encoding="utf-8")


SCRIPT = """
import sys, time
sys.path.insert(0, {folder!r})
from alternate import compare

def slow():
    return {{"one": lambda: time.sleep(0.004), "two": lambda: time.sleep(0.004)}}

def broken():
    return {{"one": lambda: 1 / 0}}

compare("sleeping", {{"ours": lambda: {{"one": lambda: time.sleep(0.001), "two": lambda: time.sleep(0.001)}}, "slow": slow,
                      "broken": broken}}, target=1.0)
"""


def test_a_comparison_keeps_its_times_and_says_who_failed(load, tmp_path):
    (tmp_path / "sleeping.py").write_text(SCRIPT.format(folder=str(FOLDER)))
    (tmp_path / "kept.json").write_text(json.dumps({"tables": {"growth": {}}}))
    command = [sys.executable, "sleeping.py", "--rounds", "2", "--seconds", "0.01", "--json", "kept.json", "--lock", "lock"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert kept["tables"] == {"growth": {}}
    cases = kept["comparisons"]["sleeping"]["cases"]
    assert list(cases) == ["one", "two"]
    assert {name: len(times) for name, times in cases["one"]["seconds"].items()} == {"ours": 2, "slow": 2}
    assert cases["one"]["failed"] == {"broken": "ZeroDivisionError: division by zero"}
    assert load("results").ratio(cases["two"]).fastest == "slow"
    assert "broken failed at one: ZeroDivisionError" in done.stdout
    again = subprocess.run([*command, "--only", "two"], cwd=tmp_path, capture_output=True, text=True)
    after = json.loads((tmp_path / "kept.json").read_text())["comparisons"]["sleeping"]["cases"]
    assert again.returncode == 0 and after["one"] == cases["one"] and after["two"] != cases["two"]


def test_exponents(load):
    growth = load("growth")
    assert growth.exponent([1, 2, 4, 8], [3, 12, 48, 192]) == pytest.approx(2)
    lstm = next(layer for layer in growth.LAYERS if layer.name == "LSTM")
    assert [sizes["units"] for sizes in growth.doubled(lstm, "units")] == [64, 128, 256, 512]
    assert lstm.shape(lstm.sizes | {"inputs": 7}) == (32, 50, 7)


def test_the_cases_timed_with_several_threads_are_cases_of_the_others(load):
    speedup = load("speedup")
    assert tuple(speedup.ours()) == speedup.NAMES
