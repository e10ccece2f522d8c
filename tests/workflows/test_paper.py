"""`kfold-hs paper`: four files that say the same, and no number that is not in the JSON."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from docx import Document
from docx.table import Table as WordTable
from docx.text.paragraph import Paragraph
from support.project import TINY, kfold_hs, write_table
from support.traced import Cells

from kfold_hs.files.paths import write_json
from kfold_hs.report.formats import FORMATS
from kfold_hs.report.paper import checklists
from kfold_hs.report.traced import at

ILL, WELL = r"i_l&l%#{1}~^\x", "<b>well|*$`"
LEVELS = (r"a_&%#{}~^\b", "<i>c</i>")
ODD = (ILL, WELL, *LEVELS)
WORDS = [word for word in TINY if not word.startswith("train.epochs")] + ["train.epochs=1"]
FILES = ("html", "md", "docx", "tex")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a hold-out test, its bundle, and a validation on other people; odd names."""
    folder = tmp_path_factory.mktemp("paper")
    for name, seed in (("mine", 0), ("other", 1)):
        (folder / name).mkdir()
        path = write_table(folder / name, n_patients=24, n_recordings=1, seed=seed)
        table = pd.read_csv(path, dtype=object)
        table["outcome"] = table["outcome"].replace({"Abnormal": ILL, "Normal": WELL})
        table["group"] = [LEVELS[i % 2] for i in range(len(table))]
        table.to_csv(path, index=False)
    tasks = f'data.tasks={{outcome: {{classes: ["{ILL}", "{WELL}"]}}}}'
    data = [tasks, "data.person_column=person", "data.site_column=site"]
    words = ["run", *WORDS, tasks, f"data.path={folder / 'mine' / 'table.csv'}", "track=[]"]
    words += ["--name", "r", "split.test=0.2", "judge.gallery.patients=0"]
    for typed in (
        words,
        ["export", "reports/r", "-o", "bundle"],
        ["validate", "bundle", "data=table", *data, f"data.path={folder / 'other' / 'table.csv'}",
         "--name", "v"],
        ["paper", "reports/r", "--validation", "reports/v", "-o", "out", "--prevalence",
         "0.02,0.2"],
    ):  # fmt: skip
        done = kfold_hs(*typed, cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


# --- the text of each file ------------------------------------------------------------------------

_BLOCKS = {"td", "th", "li", "p", "h1", "h2", "caption", "br", "pre", "tr", "ol", "ul"}


class Words(HTMLParser):
    """The text of a page's title and sections, without drawings."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.outside, self._skipped, self._inside = "", "", 0, False
        self._data = False
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._skipped += tag in {"svg", "script", "style", "figure"}
        self._inside = self._inside or tag in {"h1", "main"}
        self._data = tag == "data"
        self.handle_data(" ") if tag in _BLOCKS else None

    def handle_endtag(self, tag: str) -> None:
        self._skipped -= tag in {"svg", "script", "style", "figure"}
        self._inside = self._inside and tag not in {"h1", "main"}
        self._data = False
        self.handle_data(" ") if tag in _BLOCKS else None

    def handle_data(self, data: str) -> None:
        if self._inside and not self._skipped:
            self.text += data
            self.outside += " " if self._data else data


def of_html(path: Path) -> str:
    return Words(path.read_text()).text


def of_markdown(path: Path) -> str:
    lines = []
    for line in path.read_text().splitlines():
        line = re.sub(r"^(#+|\d+\.| +-) ", "", line)
        line = re.sub(r"(?<!\\)(\||\*\*)|<br>", " ", line)
        lines.append(re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", line))
    return "\n".join(lines)


def of_docx(path: Path) -> str:
    found = []
    for each in Document(str(path)).iter_inner_content():
        if isinstance(each, Paragraph):
            found.append(each.text)
        elif isinstance(each, WordTable):
            found += [cell.text for row in each.rows for cell in row.cells]
    return "\n".join(found)


_LATEX = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^"}


def of_latex(path: Path) -> str:
    text = path.read_text().partition(r"\begin{document}")[2]
    text = text.replace(r"\allowbreak{}", "")
    text = re.sub(r"\\endfirsthead.*?\\endhead", "", text, flags=re.DOTALL)  # of further pages
    text = re.sub(r"\\begin\{longtable\}\{.*\}$|\\(label|setlength\{[^}]*\})\{[^}]*\}", "", text,
                  flags=re.MULTILINE)  # fmt: skip
    text = re.sub(r"\\\\$", " ", text, flags=re.MULTILINE)
    holds = {f"\ue000{i}\ue001": sign for i, sign in enumerate(_LATEX.values())}
    for mark, command in zip(holds, _LATEX, strict=True):
        text = text.replace(command, mark)
    text = re.sub(r"(?<!\\)&", " ", text)
    text = re.sub(r"\\[a-z]+\*?(\{(itemize|enumerate|quote|document|longtable)\})?", " ", text)
    text = re.sub(r"(?<!\\)[{}]", "", text)
    text = re.sub(r"\\([&%$#_{}])", r"\1", text)
    for mark, sign in holds.items():
        text = text.replace(mark, sign)
    return text


TEXT: Mapping[str, Callable[[Path], str]] = {
    "html": of_html, "md": of_markdown, "docx": of_docx, "tex": of_latex,
}  # fmt: skip


def texts(folder: Path) -> dict[str, str]:
    """Of the four files, as a reader sees them."""
    return {kind: TEXT[kind](folder / f"paper.{kind}") for kind in FILES}


def digits(text: str) -> list[str]:
    return re.findall(r"\d+(?:[.,]\d+)*", text)


# --- what they say --------------------------------------------------------------------------------


def contents(root: Path, out: str = "out") -> dict[str, Any]:
    """The files that pointers name."""
    return {
        "summary.json": json.loads((root / "reports" / "r" / "summary.json").read_text()),
        "config.yaml": yaml.safe_load((root / "reports" / "r" / "config.yaml").read_text()),
        "validation.json": json.loads((root / "reports" / "v" / "validation.json").read_text()),
        "paper.json": json.loads((root / out / "paper.json").read_text()),
    }


def test_every_number_is_at_its_pointer_and_in_all_four_files(root: Path) -> None:
    page, files = (root / "out" / "paper.html").read_text(), contents(root)
    cells = Cells(page)
    assert len(cells.keyed) > 400
    written = {"str": str, **FORMATS}
    for attributes, text in cells.keyed:
        name, _, pointer = attributes["data-key"].partition("#")
        value = at(files[name], pointer)
        assert text == written[attributes["data-as"]](value)
        assert float(attributes["value"]) == value
    assert {each["data-key"].partition("#")[0] for each, _ in cells.keyed} == set(files)
    said = {kind: digits(text) for kind, text in texts(root / "out").items()}
    for kind in FILES:
        assert said[kind] == said["html"], kind
    rows = list(csv.DictReader((root / "out" / "numbers.csv").read_text().splitlines()))
    assert [row["written"] for row in rows] == [text for _, text in cells.keyed]


def test_what_else_has_digits_is_a_name_a_citation_or_a_sentence_of_the_json(root: Path) -> None:
    left = Words((root / "out" / "paper.html").read_text()).outside
    strings = " ".join(all_strings(contents(root)))
    ours = " ".join(
        [
            *(f"{c.title} {c.source} {c.note}" for c in checklists.CHECKLISTS),
            *(" ".join(item) for c in checklists.CHECKLISTS for item in c.items),
            *(path.read_text() for path in Path(checklists.__file__).parent.glob("*.py")),
        ]
    )
    for number in set(digits(left)):
        assert number in strings or number in ours, number


def all_strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, each in value.items() for text in (str(key), *all_strings(each))]
    if isinstance(value, list):
        return [text for each in value for text in all_strings(each)] + [str(value)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("name", ODD)
def test_odd_names_survive_all_four(root: Path, name: str) -> None:
    for kind, text in texts(root / "out").items():
        assert name in text, kind
    page = (root / "out" / "paper.html").read_text()
    assert "<b>well" not in page
    assert "<i>c</i>" not in page.replace("\\u003c", "")


def test_latex_is_balanced_and_has_no_bare_sign(root: Path) -> None:
    text = (root / "out" / "paper.tex").read_text()
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert not opened
    bare = text.replace("\\\\", "").replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    body = bare.partition(r"\begin{document}")[2]
    assert not re.search(r"(?<!\\)[#$%_~^]", re.sub(r"\\label\{[^}]*\}", "", body))
    for table in re.findall(r"\\begin\{longtable\}.*?\\end\{longtable\}", text, flags=re.DOTALL):
        n = table.count("\\arraybackslash")
        for row in re.findall(r"^(.+) \\\\$", table, flags=re.MULTILINE):
            if not row.startswith(r"\caption"):
                assert len(re.findall(r"(?<!\\)&", row)) == n - 1


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_is_set(root: Path, tmp_path: Path) -> None:
    words = ["pdflatex", "-interaction=nonstopmode", f"-output-directory={tmp_path}", "paper.tex"]
    done = subprocess.run(words, cwd=root / "out", capture_output=True, check=False)
    said = done.stdout.decode(errors="replace")
    assert done.returncode == 0, said[-3000:]
    assert "multiply defined" not in said
    assert (tmp_path / "paper.pdf").stat().st_size > 50_000


def test_markdown_tables_have_as_many_cells_in_every_row(root: Path) -> None:
    width = 0
    for line in (root / "out" / "paper.md").read_text().splitlines():
        bars = len(re.findall(r"(?<!\\)\|", line))
        if line.startswith("|"):
            assert width in (0, bars)
        width = bars if line.startswith("|") else 0


def test_a_changed_number_changes_in_all_four(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "r"
    shutil.copytree(root / "reports" / "r", folder)
    summary = json.loads((folder / "summary.json").read_text())
    assert "0.1237" not in (root / "out" / "numbers.csv").read_text()
    summary["tasks"]["outcome"]["metrics"]["accuracy"]["value"] = 0.1237
    summary["flow"]["development"]["n_recordings"] = 98765
    write_json(folder / "summary.json", summary)
    done = kfold_hs("paper", "reports/r", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    before = texts(root / "out")
    for kind, text in texts(tmp_path / "out").items():
        assert "98,765 recordings" in text
        assert "98,765" not in before[kind]
        assert re.search(r"accuracy\s+0\.124", text), kind


def test_all_items_of_tripod_ai_are_there_and_each_is_answered_or_marked(root: Path) -> None:
    numbers = [item[0] for item in checklists.TRIPOD.items]
    letters = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef",
               20: "abc", 23: "ab", 27: "abc"}  # fmt: skip
    assert numbers == [f"{n}{a}" for n in range(1, 28) for a in letters.get(n, [""])]
    assert len(numbers) == 52
    tables = [t for t in Document(str(root / "out" / "paper.docx")).tables
              if t.rows[0].cells[0].text == "item"]  # fmt: skip
    assert [len(t.rows) - 1 for t in tables] == [len(c.items) for c in checklists.CHECKLISTS]
    for table in tables:
        for row in table.rows[1:]:
            said = row.cells[2].text
            assert "TO FILL IN: " in said or re.search(r"\[[a-z.]+#/", said), said
    files = contents(root)
    for where in set(re.findall(r"\[([a-z.]+)#(/[^\]]*)\]", of_docx(root / "out" / "paper.docx"))):
        at(files[where[0]], where[1])  # what an answer points to is there
    known = {a for c in checklists.CHECKLISTS for item in c.items for a in item[2].split()}
    assert {"flow", "table1", "external", "size"} <= known


# --- what is not there ----------------------------------------------------------------------------

SECTIONS = ("flow", "characteristics", "curves", "abstention", "subgroups",
            "tasks/outcome/likelihood_ratios", "tasks/outcome/fit",
            "curves/tasks/outcome/calibration/versions/as configured/model")  # fmt: skip
SMALL = ("stacking", "tried", "provenance/versions/kfold-hs", "split/development", "headline/label")


def test_a_run_without_a_part_says_so_and_never_fails(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "r"
    shutil.copytree(root / "reports" / "r", folder)
    whole = json.loads((folder / "summary.json").read_text())
    for part in (*SECTIONS, *SMALL):
        old = json.loads(json.dumps(whole))
        above, _, last = part.rpartition("/")
        del at(old, f"/{above}" if above else "")[last]
        write_json(folder / "summary.json", old)
        words = ["paper", "reports/r", "-o", "out", "--formats", "md", "--force"]
        done = kfold_hs(*words, cwd=tmp_path)
        assert done.returncode == 0, (part, done.stderr)
        said = "Not in this run (made by" in of_markdown(tmp_path / "out" / "paper.md")
        assert said == (part in SECTIONS), part
    old = {k: v for k, v in whole.items() if k not in {"flow", "characteristics", "subgroups"}}
    write_json(folder / "summary.json", old)
    (folder / "config.yaml").unlink()
    done = kfold_hs(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    version = whole["provenance"]["versions"]["kfold-hs"]
    text = of_markdown(tmp_path / "out" / "paper.md")
    assert (
        text.count(f"Not in this run (made by kfold-hs {version}): repeat the run's command") == 3
    )


def predictions(n: int = 60) -> pd.DataFrame:
    """What another program may have written."""
    frame = pd.DataFrame(
        {
            "person_id": [f"p{i}" for i in range(n)],
            "fold": [i % 3 for i in range(n)],
            "y.outcome": ["ill" if i % 4 == 0 else "well" for i in range(n)],
            "p.outcome.ill": [0.9 if i % 4 == 0 and i % 8 else 0.3 - i / 400 for i in range(n)],
        }
    )
    return frame.assign(**{"p.outcome.well": 1 - frame["p.outcome.ill"]})


@pytest.mark.parametrize("kind", ["folds", "no folds", "scores"])
def test_of_another_programs_predictions_no_more_is_said_than_they_tell(
    tmp_path: Path, kind: str
) -> None:
    frame, words = predictions(), list[str]()
    if kind == "no folds":
        frame = frame.drop(columns="fold")
    if kind == "scores":
        words = ["--score", "s"]
        frame = frame.drop(columns="p.outcome.well")
        frame = frame.rename(columns={"y.outcome": "outcome", "p.outcome.ill": "s"})
    frame.to_csv(tmp_path / "p.csv", index=False)
    for typed in (["evaluate", "p.csv", "--name", "e", *words], ["paper", "reports/e", "-o", "o"]):
        done = kfold_hs(*typed, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    text = of_markdown(tmp_path / "o" / "paper.md")
    assert "Likelihood ratios of" in text or kind == "scores"
    # Nobody trained anything here, and nothing that is repeated would tell more.
    for claim in ("repeat the run's command", "no model was updated", "do not see the labels",
                  "kfold-hs plan", "silent and saturated", "of each fold's training"):  # fmt: skip
        assert claim not in text
    assert ("found no leak" in text) == ("out of fold" in text) == (kind != "no folds")
    assert ("one repeat" in text) == (kind != "no folds")
    assert ("probabilities of every class" in text) == (kind != "scores")
    assert ("section Sample size; " in text) == (kind != "scores")


def test_one_part_for_validation_adds_up_and_is_no_cross_validation(tmp_path: Path) -> None:
    path = write_table(tmp_path, n_patients=24, n_recordings=1)
    people = pd.read_csv(path).drop_duplicates("patient_id")
    people["fold"] = ["train"] * 12 + ["val"] * 8 + ["test"] * 4
    people[["patient_id", "fold"]].to_csv(tmp_path / "one.csv", index=False)
    words = [*WORDS, f"data.path={path}", "track=[]", "split.file=one.csv", "split.n_folds=1"]
    for typed in (["run", *words, "--name", "r"], ["paper", "reports/r", "-o", "o"]):
        done = kfold_hs(*typed, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    text = of_markdown(tmp_path / "o" / "paper.md")
    flow = text[text.index("Read, table") : text.index("Table 1: ch")].strip().splitlines()
    # Who leaves a box stands under it, not under the one that follows.
    assert [line.partition(":")[0].partition(" (")[0] for line in flow] == [
        "Read, table", "Held out for a test, not used", "In folds",
        "Never held out, not analysed", "Analysed",
    ]  # fmt: skip
    n = [int(re.findall(r"(\d+) patients", line)[0]) for line in flow]
    assert n[0] - n[1] == n[2]
    assert n[2] - n[3] == n[4]
    assert "In folds (trained on, or held out for validation): 19 people, 20 patients" in text
    assert "Never held out, not analysed: 11 people, 12 patients, 12 recordings" in text
    labels = people[people["fold"] == "val"]["outcome"].value_counts()
    analysed = re.search(r"^Analysed: (.*)$", text, flags=re.MULTILINE)
    assert analysed is not None
    assert analysed[1].startswith("8 people, 8 patients. murmur: ")
    assert f"outcome: {labels['Abnormal']} Abnormal, {labels['Normal']} Normal" in analysed[1]
    assert "held out in turn" not in text


def test_a_leak_is_said_beside_the_result_and_as_a_limit(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "reports" / "r"
    shutil.copytree(root / "reports" / "r", folder)
    summary = json.loads((folder / "summary.json").read_text())
    leak = {"kind": "person on two sides", "is_leak": True, "text": "1 person is on two sides"}
    summary["split"]["findings"].append(leak)
    write_json(folder / "summary.json", summary)
    done = kfold_hs("paper", "reports/r", "-o", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for kind, text in texts(tmp_path / "out").items():
        assert re.search(r"LEAKING\s*: 1 person is on two sides\. ", text), kind
        assert "models are scored on people whom they were trained on" in text, kind
        assert "do not see the labels" not in text, kind
    assert "LEAKING" not in of_markdown(root / "out" / "paper.md")


def test_what_authors_wrote_into_a_paper_is_not_replaced(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "paper.docx").write_bytes(b"mine")
    words = ["paper", "reports/r", "-o", out]
    done = kfold_hs(*words, cwd=root)
    assert done.returncode == 2
    assert "paper.docx is there already" in done.stderr
    assert [each.name for each in out.iterdir()] == ["paper.docx"]
    assert kfold_hs(*words, "--formats", "md", cwd=root).returncode == 0
    assert (out / "paper.docx").read_bytes() == b"mine"
    assert kfold_hs(*words, "--force", cwd=root).returncode == 0
    assert (out / "paper.docx").read_bytes() != b"mine"


def test_a_prevalence_below_one_percent_is_written_as_it_was_stated(root: Path) -> None:
    words = ["--formats", "md", "--prevalence", "0.0025,0.00004"]
    done = kfold_hs("paper", "reports/r", "-o", "rare", *words, cwd=root)
    assert done.returncode == 0, done.stderr
    text = of_markdown(root / "rare" / "paper.md")
    assert re.search(r"^ +0\.25 % ", text, flags=re.MULTILINE)
    assert re.search(r"^ +0\.004 % ", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["reports/none"], "no summary.json"),
        (["reports/r", "--validation", "reports/r"], "no validation.json"),
        (["reports/r", "--prevalence", "0.1,1"], "--prevalence 1 must be above 0 and below 1"),
        (["reports/r", "--prevalence", "a"], "no list of prevalences"),
        (["reports/r", "--formats", "pdf"], "pdf"),
        (["reports/r", "--formats", ","], "--formats is empty"),
    ],
)
def test_wrong_words_are_refused(root: Path, words: list[str], says: str) -> None:
    done = kfold_hs("paper", *words, "-o", "wrong", cwd=root)
    assert done.returncode in (1, 2)
    assert says in " ".join(done.stderr.split())
    assert not (root / "wrong").exists()


def test_a_validation_of_other_models_is_refused(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "reports" / "v", tmp_path / "reports" / "v")
    path = tmp_path / "reports" / "v" / "validation.json"
    found = json.loads(path.read_text())
    development = found["development"]
    digests = development["digests"] | {"split": "0" * 64}
    for changed, says in (
        ({"run": "another"}, "is of the run another"),
        # Trained anew under the same name, on other folds.
        ({"development": development | {"digests": digests}}, "of this name: its split differ"),
    ):
        write_json(path, found | changed)
        words = ["paper", "reports/r", "--validation", path.parent, "-o", "wrong"]
        done = kfold_hs(*words, cwd=root)
        assert done.returncode == 2
        assert says in " ".join(done.stderr.split())
        assert not (root / "wrong").exists()
