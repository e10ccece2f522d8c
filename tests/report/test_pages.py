"""The pages in a real browser, of every kind, with names that are no text.

Skipped, visibly, where there is no browser: `make browser`, or `apt install chromium`.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image
from support.browser import find_browser
from support.project import TINY, write_table

from kfold_hs.cli.main import cli
from kfold_hs.errors import KfoldHsError
from kfold_hs.report.figures import SCALE, WIDTH_PX, write_figures
from kfold_hs.workflows import pages

PAGES = ("report", "comparison", "tune", "validation", "index")
EVIL = "<script>hacked=1</script>\"'><img src=x onerror=hacked=1>"
BACKWARDS = "\u05d0\u05d1\u05d2 left is right"
LONG = "10 kB " + "x" * 10_000
FILE = "<b onclick=hacked=1>&amp;\"'\u202e.wav"
# One training of one epoch; variants and trials differ in what only predicting reads.
_OTHERWISE = ("train.epochs", "split.n_folds", "judge.gallery")
ONCE = [word for word in TINY if not word.startswith(_OTHERWISE)]
ONCE += ["train.epochs=1", "track=[]", "judge.gallery.patients=12", "--folds", "2"]
POOLS = ["predict.patient_pool=mean", "predict.patient_pool=max"]


@pytest.fixture(scope="module")
def hostile_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `write_table`, with ids, a file and a covariate that try to be something else.

    The first two patients are one person with two murmurs, and hold one sound.
    """
    folder = tmp_path_factory.mktemp("hostile")
    path = write_table(folder)
    table = pd.read_csv(path, dtype=object, keep_default_na=False)
    names = {"p0": EVIL, "p1": f"\u202e{BACKWARDS}", "p2": LONG, "p3": EVIL + "3"}
    table["patient_id"] = table["patient_id"].replace(names)
    table["person"] = table["person"].replace({"q": EVIL, "p2": LONG, "p3": EVIL + "3"})
    table["age"] = table["age"].replace({"Child": "<i>Child</i>"})
    sound, rate = soundfile.read(folder / "p1_0.wav")
    soundfile.write(folder / FILE, sound, rate, subtype="PCM_16")
    table.loc[0, "recording"] = FILE
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, hostile_csv: Path) -> dict[str, Path]:
    """The pages of a run, a comparison and a search, and the list of them, by their commands."""
    root = tmp_path_factory.mktemp("pages")
    words = [*ONCE, f"data.path={hostile_csv}", "--root", str(root)]
    for command in (
        ["run", "--name", "report"],
        ["compare", *POOLS, "--name", "comparison"],
        ["tune", f"{POOLS[0]},max", "--name", "tune"],
    ):
        invoke(*command, *words)
    bundle, data = root / "bundle", [word for word in words if word.startswith("data")]
    invoke("export", root / "reports" / "report", "-o", bundle)
    known = ["--known", "held-out", "--name", "validation", "--root", root]
    invoke("validate", bundle, *data, *known)
    invoke("report", "--root", root)
    found = {name: root / "reports" / name / f"{name}.html" for name in PAGES[:-1]}
    return {**found, "index": root / "reports" / "index.html"}


def invoke(*words: object) -> str:
    """What a command of ours printed."""
    done = CliRunner().invoke(cli, list(map(str, words)))
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = find_browser()
    if path is None:
        pytest.skip("no browser is here: `make browser`, or `apt install chromium`")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=path, args=["--disable-gpu"])
        yield found
        found.close()


class Opened:
    """A page with all that it logged and asked for."""

    def __init__(self, browser: Any, file: Path) -> None:
        self.logged: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_page(viewport={"width": 1200, "height": 900})
        self.page.set_default_timeout(180_000)  # also where the machine is busy
        self.page.on("console", lambda message: self.logged.append(message.text))
        self.page.on("pageerror", lambda error: self.logged.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = file.as_uri()
        self.page.goto(self.url)
        drawn = """[...document.querySelectorAll("[data-figure]")].every(
            (place) => place.querySelector(".main-svg"))"""
        for _ in range(1800):  # those in sight are drawn first
            if self.page.evaluate(drawn):
                break
            self.page.wait_for_timeout(100)


@pytest.fixture(scope="module")
def opened(browser: Any, files: dict[str, Path]) -> Iterator[dict[str, Opened]]:
    """Every page once; tests leave them as wide, light and unsorted as they were."""
    found = {name: Opened(browser, file) for name, file in files.items()}
    yield found
    for each in found.values():
        each.page.close()


SECTIONS = {
    "report": [
        "answer", "metrics", "beside", "folds", "curves", "learning", "confusions", "split",
        "again", "paper",
    ],
    "comparison": ["answer", "variants", "metrics", "flips", "learning", "again"],
    "tune": ["answer", "parallel", "importances", "trials", "again"],
    "validation": ["answer", "people", "metrics", "calibration", "cohorts", "again"],
    "index": ["results"],
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_every_section_and_figure_is_seen(opened: dict[str, Opened], name: str) -> None:
    page = opened[name].page
    for section in SECTIONS[name]:
        assert page.locator(f":is(h2, h3)#{section}").is_visible()
    empty = page.evaluate(
        """[...document.querySelectorAll("[data-figure]")].filter(
            (place) => !(place.querySelector("svg.main-svg")?.getBoundingClientRect().width > 100)
        ).map((place) => place.dataset.figure)"""
    )
    assert empty == []
    assert page.locator("canvas").count() == 0  # nothing needs WebGL


@pytest.mark.parametrize("name", PAGES)
def test_names_stay_text(opened: dict[str, Opened], name: str, files: dict[str, Path]) -> None:
    page = opened[name].page
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("img[src=x], [onclick], [onerror], table i, table b").count() == 0
    text = page.locator("body").evaluate("(body) => body.textContent")
    shown = [EVIL, BACKWARDS, FILE.replace("\u202e", ""), "<i>Child</i>"]
    for each in shown if name == "report" else []:
        assert each in text
    assert files[name].stat().st_size < 10_000_000


def test_flipped_patients_are_named_as_they_are(opened: dict[str, Opened]) -> None:
    """Whoever flips; the ids of the table, whole and unchanged."""
    heads = opened["comparison"].page.locator("section:has(#flips) tbody th").all_text_contents()
    known = {EVIL, BACKWARDS, LONG, EVIL + "3", *(f"p{i}" for i in range(4, 16))}
    assert set(heads) <= known


@pytest.mark.parametrize("name", PAGES)
def test_tables_are_sorted_by_click_and_by_key(opened: dict[str, Opened], name: str) -> None:
    page = opened[name].page
    tables = page.locator("table:visible:has(thead button.sort)")
    assert tables.count() > 0
    table = tables.last if name == "comparison" else tables.first
    place = 1
    column = table.locator("thead tr > *").nth(place)
    head = column.locator("button.sort")

    def numbers() -> list[float]:
        texts = table.locator(f"tbody tr > :nth-child({place + 1})").all_text_contents()
        found = [re.match(r"\s*([-+]?[\d.,]+)", text) for text in texts]
        return [float(each[1].replace(",", "")) for each in found if each]

    before = table.locator("tbody tr").all_text_contents()
    head.click()
    assert column.get_attribute("aria-sort") == "ascending"
    assert numbers() == sorted(numbers())
    head.focus()
    page.keyboard.press("Enter")
    assert column.get_attribute("aria-sort") == "descending"
    assert numbers() == sorted(numbers(), reverse=True)
    page.keyboard.press("Space")
    assert column.get_attribute("aria-sort") is None
    assert table.locator("tbody tr").all_text_contents() == before


@pytest.mark.parametrize("name", PAGES)
def test_the_keyboard_reaches_everything(opened: dict[str, Opened], name: str) -> None:
    page = opened[name].page
    controls = """[...document.querySelectorAll(
        "button, summary, a[href], audio[controls], input, select, [tabindex]")]
        .filter((each) => each.checkVisibility() && each.tabIndex >= 0)"""
    n_controls = page.evaluate(f"{controls}.length")
    assert n_controls > 0
    # A player is one control with several stops in it.
    n_stops = n_controls + 6 * page.locator("audio").count()
    # One call a press would be slow: presses are real, where they led is asked at the end.
    page.evaluate(
        """() => { document.activeElement.blur(); window.visited = new Set();
        document.addEventListener("focusin", (event) => visited.add(event.target)); }"""
    )
    page.locator("h1").click()
    for _ in range(n_stops):
        page.keyboard.press("Tab")
    missed = page.evaluate(f"{controls}.filter((each) => !visited.has(each)).length")
    assert missed == 0


def test_sound_can_be_played_and_what_was_looked_at_hidden(opened: dict[str, Opened]) -> None:
    page = opened["report"].page
    sounds = page.locator("audio")
    assert sounds.count() > 10
    # Seconds of each; NaN until the browser has read it.
    page.wait_for_function("[...document.querySelectorAll('audio')].every((a) => a.duration > 0)")
    durations = page.evaluate("[...document.querySelectorAll('audio')].map((a) => a.duration)")
    assert all(1.9 < each < 2.1 for each in durations)  # the recordings are of 2 s
    looked = page.locator(".gallery .look").first
    assert looked.is_visible()
    page.get_by_label("Show what the model looked at").uncheck()
    assert not looked.is_visible()
    page.get_by_label("Show what the model looked at").check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_fault(opened: dict[str, Opened], name: str, scheme: str) -> None:
    page = opened[name].page
    axe_core = pytest.importorskip("axe_playwright_python.sync_playwright")
    page.emulate_media(color_scheme=scheme)
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if scheme == "dark":  # nothing else depends on it
        options["runOnly"] = ["color-contrast"]
    found = axe_core.Axe().run(page, options=options)
    page.emulate_media(color_scheme="light")
    faults = [
        f"{fault['id']}: {fault['help']}: {node['html'][:200]}"
        for fault in found.response["violations"]
        for node in fault["nodes"]
    ]
    assert faults == []


@pytest.mark.parametrize("name", PAGES)
def test_a_telephone_shows_all_of_it(opened: dict[str, Opened], name: str) -> None:
    page = opened[name].page
    page.set_viewport_size({"width": 400, "height": 800})
    for _ in range(100):  # charts follow the window a moment later
        wide = page.evaluate("document.documentElement.scrollWidth")
        if wide <= 400:
            break
        page.wait_for_timeout(100)
    # Captions stay where they can be read when their table is scrolled to its end.
    captions = page.evaluate(
        """[...document.querySelectorAll(".wide:has(caption)")].filter((w) => w.checkVisibility())
        .map((wide) => {
            wide.scrollLeft = wide.scrollWidth;
            const box = wide.querySelector("caption").getBoundingClientRect();
            wide.scrollLeft = 0;
            return [box.left, box.right];
        })"""
    )
    page.set_viewport_size({"width": 1200, "height": 900})
    assert wide <= 400
    assert captions
    assert all(0 <= left < right <= 400 for left, right in captions)


@pytest.mark.parametrize("name", PAGES)
def test_it_prints_light_and_within_the_paper(opened: dict[str, Opened], name: str) -> None:
    page = opened[name].page
    page.emulate_media(color_scheme="dark")
    page.evaluate(
        """() => addEventListener("beforeprint", () => window.printed =
        [...document.querySelectorAll("[data-figure] .main-svg")].map((svg) => svg.clientWidth))"""
    )
    paper = page.pdf(format="A4")
    page.emulate_media(color_scheme="light")
    assert paper.startswith(b"%PDF")
    assert len(paper) > 10_000
    assert all(0 < width <= 700 for width in page.evaluate("printed"))


def test_a_run_prints_one_page_or_all_of_it(opened: dict[str, Opened]) -> None:
    page = opened["report"].page

    def n_pages() -> int:
        margin = dict.fromkeys(("top", "bottom", "left", "right"), "10mm")
        paper = page.pdf(format="A4", margin=margin)
        return len(re.findall(rb"/Type\s*/Page\b", paper))

    assert n_pages() == 1
    page.locator("#print-all").check()
    assert n_pages() > 5
    page.locator("#print-all").uncheck()
    assert page.locator("details[open]").count() == 0  # what was opened for it is folded again


@pytest.mark.parametrize("name", PAGES[:-1])
def test_the_contents_stay_in_sight_and_nothing_is_cut(
    opened: dict[str, Opened], name: str
) -> None:
    page = opened[name].page
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    contents = page.locator("nav.contents")
    assert contents.bounding_box()["y"] >= 0
    for width in (400, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        assert contents.locator("a").first.is_visible()
    page.evaluate("scrollTo(0, 0)")
    page.set_viewport_size({"width": 1200, "height": 900})
    # What cannot be seen at once says so.
    silent = page.evaluate(
        """[...document.querySelectorAll(".wide")].filter((wide) => wide.checkVisibility()
        && wide.scrollWidth > wide.clientWidth && wide.tabIndex < 0).length"""
    )
    assert silent == 0


def test_the_list_filters_and_says_how_to_compare(browser: Any, files: dict[str, Path]) -> None:
    page = Opened(browser, files["index"]).page
    rows = page.locator("tbody tr:visible")
    n = rows.count()
    page.locator("#filter").fill("TUNE search")
    assert rows.count() == 1
    page.locator("#filter").fill("")
    assert rows.count() == n
    runs = page.get_by_label(re.compile("^Compare "))
    assert not page.locator("#command").is_visible()
    for place in range(2):
        runs.nth(place).check()
    names = [link.get_attribute("data-run") for link in page.locator("a[data-run]").all()]
    said = f"kfold-hs compare reports/{names[0]} reports/{names[1]}"
    assert page.locator("#command").text_content() == said
    page.locator("#copy").click()
    page.locator("#copied:not(:empty)").wait_for()  # the clipboard answers when it has time
    runs.nth(0).uncheck()
    assert not page.locator("#command").is_visible()
    page.close()


def test_settings_that_differ_are_columns(files: dict[str, Path]) -> None:
    page = files["index"].read_text()
    heads = re.findall(r'<th scope="col"[^>]*>([^<]+)</th>', page)
    assert heads[:4] == ["name", "value", "95 % interval", "of"]
    assert len(set(heads)) == len(heads)
    assert "predict.patient_pool" in heads  # what the comparison and the search vary
    assert not {"data.path", "seed", "judge.band_resamples"} & set(heads)


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_logged_and_nothing_leaves_the_page(
    opened: dict[str, Opened], name: str
) -> None:
    """Last: after all that was done to the page above."""
    assert opened[name].logged == []
    outside = [url for url in opened[name].asked if not url.startswith(("data:", "blob:"))]
    assert outside == [opened[name].url]


@pytest.mark.parametrize("name", PAGES[:-1])
def test_a_page_is_drawn_again_from_its_folder(files: dict[str, Path], name: str) -> None:
    before = files[name].read_text()
    files[name].unlink()
    assert str(files[name]) in invoke("report", files[name].parent).replace("\n", "")
    assert files[name].read_text() == before


def test_the_list_names_all_and_what_is_wrong(files: dict[str, Path], tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    for name in PAGES[:-1]:
        shutil.copytree(files[name].parent, reports / name)
    shutil.copytree(reports / "report", reports / "stopped")
    (reports / "stopped" / "summary.json").unlink()
    (reports / "odd # name").mkdir()
    (reports / "odd # name" / "tune.json").write_text('{"winner": {}}')
    assert invoke("report", "--root", tmp_path).startswith(
        "2 runs, 1 comparison, 1 search, 1 validation and 1 other folder: "
    )
    page = (reports / "index.html").read_text()
    rows = dict(re.findall(r'<tr><th scope="row"[^>]*>(?:<a[^>]*>)?([^<]+)(.*?)</tr>', page, re.S))
    assert list(rows)[-1] in {"stopped", "odd # name"}  # those without a date
    summary = json.loads((reports / "report" / "summary.json").read_text())
    assert summary["headline"]["verdict"] is None  # no target is set
    assert 'data-key="report/summary.json#/headline/value"' in rows["report"]
    assert summary["headline"]["label"] in rows["report"]
    assert ": difference<" in rows["comparison"]
    assert ": of the best<" in rows["tune"]
    assert "comparison/comparison.html" in page
    assert "not finished" in rows["stopped"]
    assert (
        "tune.json is damaged, or was written by another version of kfold-hs (schema: Field "
        "required)" in rows["odd # name"]
    )


def test_there_must_be_something_to_list(tmp_path: Path) -> None:
    with pytest.raises(KfoldHsError, match=r"reports is not there: .* name it with --root"):
        pages.index(tmp_path)
    (tmp_path / "reports").mkdir()
    assert "Nothing is here yet" in pages.index(tmp_path)[0].read_text()
    wrong = CliRunner().invoke(cli, ["report", "--tables", str(tmp_path)])
    assert wrong.exit_code == 2
    assert "need a FOLDER" in wrong.output


def test_figures_need_kaleido(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kaleido", None)
    with pytest.raises(KfoldHsError, match=r"pip install 'kfold-hs\[figures\]'"):
        write_figures(pages.redraw(files["tune"].parent).page.figures, tmp_path)
    assert write_figures({}, tmp_path) == []


@pytest.mark.slow
def test_figures_and_tables_are_written(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = find_browser()
    if path is None:
        pytest.skip("no browser is here: `make browser`, or `apt install chromium`")
    monkeypatch.setenv("BROWSER_PATH", path)
    names = pages.redraw(files["report"].parent).page.figures
    where = ["--figures", tmp_path / "f", "--tables", tmp_path / "t"]
    said = invoke("report", files["report"].parent, *where)
    assert f"{3 * len(names)} files of figures: {tmp_path / 'f'}" in said
    assert len(list((tmp_path / "t").glob("*.csv"))) > 5
    for name in names:
        drawn = tmp_path / "f" / name
        assert drawn.with_suffix(".svg").read_text().startswith("<svg")
        assert drawn.with_suffix(".pdf").read_bytes().startswith(b"%PDF")
        with Image.open(drawn.with_suffix(".png")) as image:
            assert image.width == WIDTH_PX * SCALE
