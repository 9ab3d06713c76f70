"""The course as a site: it builds without a warning, every link leads somewhere, its pages can be read by everyone.

One build of all pages, without running the lessons but the first, serves all tests: about a minute.
"""
import html
import importlib.util
import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from nblayers import cli
from nblayers.learn import catalogue, formulas, script

pytest.importorskip("sphinx", reason="building pages needs the extra 'docs'")

from nblayers.learn.site import builder, docstrings, gallery, outputs, reference, sources

ROOT = Path(__file__).resolve().parents[1]
FIRST = catalogue.find("chain_rule")
WATCHED = catalogue.find("normalization")


def ran_before(run):
    """`run`, but for one lesson, of whose outputs it has only a page of the microscope: that lesson takes too long."""
    def quick(lesson, place):
        if lesson != WATCHED:
            return run(lesson, place)
        place.mkdir(parents=True)
        line = next(step.line for step in script.read(lesson).steps() if "save_page(" in step.source)
        (place / outputs.FILE).write_text(json.dumps({line: "page: lessons/out/17_microscope.html\n"}), encoding="utf-8")
        (place / "17_microscope.html").write_text("<!DOCTYPE html><title>watched</title>", encoding="utf-8")
    return quick


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(outputs, "_run_apart", ran_before(outputs._run_apart))
        builder.build(folder / "html", [FIRST, WATCHED], lambda text: None)
        assert builder.is_built(folder / "html", [FIRST, WATCHED]) and not builder.is_built(folder / "html", [FIRST])
    return folder / "html"


class Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, path):
        super().__init__()
        self.links, self.names = [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.names.add(attributes.get("id"))
        for key in ("href", "src"):
            if attributes.get(key):
                self.links.append(attributes[key])


def test_every_link_leads_somewhere(site):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) > 500
    broken, outside = [], set()
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                outside.add(link)
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].names if target in pages else {""} if target.exists() else ()
            if unquote(parts.fragment) not in known:
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []
    assert outside <= {"https://shibuya.lepture.com"}         # the theme says its name


def text_of(page):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))).split())


def test_a_lesson_folds_its_answers_and_shows_what_it_prints(site):
    page = (site / "lessons" / f"{FIRST.stem}.html").read_text(encoding="utf-8")
    lesson = script.read(FIRST)
    turns = [step for step in lesson.steps() if step.is_turn]
    folded = re.findall(r"<details class=\"[^\"]*hide[^\"]*\">.*?</details>", page, re.DOTALL)
    assert len(folded) >= len(turns) >= 6
    words = re.findall(r"\w+", text_of(site / "lessons" / f"{FIRST.stem}.html"))
    assert " ".join(re.findall(r"\w+", turns[0].question.text)) in " ".join(words)
    assert "00_graph.png" in page and "agrees with the numerical derivative" in page
    assert page.count("<img ") == len(re.findall(r"<img [^>]*alt=\"[^\"]+\"", page)) >= 2
    not_run = (site / "lessons" / "08_lstm.html").read_text(encoding="utf-8")
    assert "built without running the lesson" in not_run and "built without running the lesson" not in page


@pytest.mark.parametrize("identifier", ["004.LSTM.f", "004.LSTM.C~", "001.02.leaky_relu", "001.09.LSTM"])
def test_a_formula_leads_to_lesson_layer_and_lines_and_back(site, identifier):
    page = Page(site / sources.formula_address(identifier))
    lines = formulas.lines(identifier)
    assert {line.room for line in lines} == set(formulas.ROOMS)
    for line in lines:
        assert f"../{sources.address(line.path, line.number)}" in page.links
        back = Page(site / sources.address(line.path))
        assert any(link.endswith(sources.formula_address(identifier)) for link in back.links)
    for path, _ in formulas.lessons(identifier):
        assert any(link.startswith(f"../lessons/{path.stem}.html") for link in page.links)
        lesson = Page(site / "lessons" / f"{path.stem}.html")
        assert f"../{sources.formula_address(identifier)}" in lesson.links
    layers = [line for line in formulas.layers(formulas.index()[identifier]) if "nblayers.layers" in line]
    for line in layers:
        name = line.split()[-1]
        assert any(f"/layers/{reference.layers()[name]}.html" in link for link in page.links)


def test_a_formula_with_lines_in_one_room_has_lines_in_all():
    rooms = {identifier: {line.room for line in formulas.lines(identifier)} for identifier in formulas.index()}
    assert [identifier for identifier, found in rooms.items() if found and found != set(formulas.ROOMS)] == []
    assert sum(map(bool, rooms.values())) >= 107
    assert {line.backward for line in formulas.lines("001.07.Conv2D")} == {False, True}       # dw = … is an equation itself


def test_every_layer_has_a_page_with_its_arguments_and_equations(site):
    from nblayers import layers
    names = set(re.findall(r"\b(\w+) as \1\b", (ROOT / "nblayers" / "layers" / "__init__.pyi").read_text(encoding="utf-8")))
    functions = {name for one in reference.described("layers") for name in (one.name, *one.others)}
    assert names == set(reference.layers()) | functions and len(functions) < 12
    for main in set(reference.layers().values()):
        page = (site / "reference" / "layers" / f"{main}.html").read_text(encoding="utf-8")
        count = len(re.findall(r"^ +\S.*? {2,}\(\d+'?\)(?:\s|$)", getattr(layers, main).__doc__ or "", re.MULTILINE))
        assert page.count('class="equation docutils') >= count, main
        assert f'id="nblayers.layers.{main}"' in page
    lstm = text_of(site / "reference" / "layers" / "LSTM.html")
    assert "return_sequences=False" in lstm and r"\tilde{c}_t = \tanh(x_t W_c + h_{t-1} U_c + b_c)" in lstm


def test_a_docstring_as_markdown():
    text = docstrings.markdown('''What it is for.

    y_i = f(z)  where z > 0     (1)     i is the `place`
                                        of the output

Arguments:
    one, two_words: text of `Dense`,
        and 3 * 4.
    alpha: \\alpha, from 0.
    beta: not \\sqrt v but \\sqrt{\\hat v}, \\frac{\\partial L}{\\partial h_t}.

    layer = Dense(3)
''', lambda name: "/there.md" if name == "Dense" else "")
    assert r"y_i = f(z)\quad \text{where }z > 0" in text and "(1) i is the `place` of the output" in text
    assert "`one`, `two_words`\n: text of [`Dense`](/there.md), and 3 \\* 4." in text
    assert r": $\alpha$, from 0." in text
    assert r": not $\sqrt v$ but $\sqrt{\hat v}$, $\frac{\partial L}{\partial h_t}$." in text


def test_a_gallery_without_pictures_is_a_page_too(tmp_path, monkeypatch):
    monkeypatch.setattr(gallery, "DOCUMENTS", {})               # an installed wheel has no docs/
    text = gallery.page([], tmp_path)
    assert "without running the lessons" in text and "container" not in text


def test_the_search_knows_every_page(site):
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    assert '"lessons/08_lstm"' in index and '"formulas/004.LSTM.f"' in index and '"reference/layers/GRU"' in index


def test_words_of_the_glossary_are_linked_from_lessons(site):
    lesson = (site / "lessons" / "08_lstm.html").read_text(encoding="utf-8")
    assert '../glossary.html#term-forget-gate' in lesson
    assert lesson.count('glossary.html#term-forget-gate') == 1


def test_a_run_is_kept_until_the_lesson_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lesson = tmp_path / "90_small.py"
    lesson.write_text("# %% [markdown]\n# # Small\n\n# %%\nprint('one')\n# ? two\ntwo = 2\nprint(two)\n", encoding="utf-8")
    monkeypatch.setattr(outputs, "fingerprint", lambda files: f"{hash(tuple(path.read_bytes() for path in files)):x}"
                        if lesson in files else "library")
    said = []
    first = outputs.of([lesson], said.append)["90_small"]
    assert first.texts == {5: "one\n", 7: "", 8: "2\n"} and said == ["ran 90_small (1 of 1)"]
    assert outputs.of([lesson], said.append)["90_small"] == first and len(said) == 1
    lesson.write_text("raise ValueError('no')", encoding="utf-8")
    with pytest.raises(outputs.LessonFailed, match=r"(?s)90_small stopped with an error.*ValueError: no"):
        outputs.of([lesson], said.append)


def test_the_command(tmp_path, monkeypatch, capsys):
    opened, built = [], []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    monkeypatch.setattr(builder, "build", lambda output, run, say: built.append((output, len(run))))
    folder = tmp_path / "pages"
    assert cli.main(["docs", "--output", str(folder), "--no-outputs"]) == 0
    assert built == [(folder, 0)] and opened == [(folder / "index.html").as_uri()]
    assert cli.main(["docs", "--output", str(folder), "--no-browser"]) == 0
    assert built[1:] == [(folder, len(catalogue.lessons()))] and len(opened) == 1


def test_what_is_missing_is_named(tmp_path, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "myst_nb" else find(name))
    assert cli.main(["docs", "--output", str(tmp_path / "pages"), "--no-outputs"]) == 2
    assert "needs myst-nb: pip install 'nblayers[docs]'" in capsys.readouterr().err


def test_no_folder_of_another_is_overwritten(tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("mine", encoding="utf-8")
    assert cli.main(["docs", "--output", str(tmp_path), "--no-outputs"]) == 2
    assert "holds something else" in capsys.readouterr().err and (tmp_path / "letter.txt").exists()


@pytest.fixture(scope="module")
def walk():
    sys.path.insert(0, str(ROOT / "tools"))
    check_site = pytest.importorskip("check_site")
    sync = pytest.importorskip("playwright.sync_api", reason="looking at pages needs playwright")
    pytest.importorskip("axe_playwright_python", reason="looking at pages needs axe-playwright-python")
    if check_site.chromium() is None:
        pytest.skip("looking at pages needs Chromium")
    with sync.sync_playwright() as player:
        yield check_site.Walk(player.chromium.launch(executable_path=check_site.chromium(), args=check_site.FLAGS))


@pytest.mark.parametrize("name", ["index", f"lessons/{FIRST.stem}", "formulas/004.LSTM.f", "reference/layers/LSTM"])
def test_a_page_on_a_phone_and_a_desk_light_and_dark(site, walk, name):
    assert list(walk.faults(site / f"{name}.html")) == []


def test_the_microscope_stands_in_the_lessons_it_belongs_to(tmp_path):
    from nblayers.learn.microscope.examples import MAKERS
    from nblayers.learn.site import microscope
    assert set(microscope.LESSONS) == set(MAKERS)
    assert set(microscope.LESSONS.values()) <= {catalogue.number_of(path) for path in catalogue.lessons()}
    found = microscope.pages(tmp_path, {"17"})
    assert [name for _, name, _ in found] == ["batch_norm"] and (tmp_path / "batch_norm.html").stat().st_size > 10_000
    assert microscope.pages(tmp_path, {"00"}) == []


def test_the_microscope_is_embedded(site):
    """In the lesson that has saved a page, and on a page of its own; that the addresses lead somewhere, another test sees."""
    lesson = (site / "lessons" / f"{WATCHED.stem}.html").read_text(encoding="utf-8")
    assert '<iframe class="microscope" src="../_static/microscope/17_microscope.html"' in lesson
    own = (site / "microscope.html").read_text(encoding="utf-8")
    assert '<iframe class="microscope" src="_static/microscope/batch_norm.html"' in own
    assert "watched" in (site / "_static/microscope/17_microscope.html").read_text("utf-8")
