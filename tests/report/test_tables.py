"""A page's tables as CSV and LaTeX: every table, every number whole, every word safe."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from pathlib import Path

import pytest
from markupsafe import Markup
from support.fake_run import fake_run, summary_of
from support.fake_run import page_of as render

from kfold_hs.report.formats import interval, number, percent
from kfold_hs.report.tables import BREAK, Table, details, distinct, tag, write_tables
from kfold_hs.report.traced import traced

DOCS = Path(__file__).parents[2] / "docs" / "report.md"


@pytest.fixture
def table() -> Table:
    """Of two folds, the second of which is not known."""
    found = traced(
        [{"fold": 0, "value": 0.123456, "low": 0.1, "high": 0.2, "left": 0.5},
         {"fold": 1, "value": None, "low": 0.1, "high": 0.3, "left": None}],
        "/f",
    )  # fmt: skip
    table = Table(
        "one", "Of a & b", ["fold", "value", "95 % interval", "left", "why"], {-1: "text"}
    )
    first, second = found
    table.row(
        first["fold"], tag("strong", number(first["value"])), interval(first),
        ["at most ", percent(first["left"])],
        [percent(first["left"]), " of x_1", details("more", '"so"'), Markup("<svg></svg>")],
    )  # fmt: skip
    ends = ["–", BREAK, "to ", number(second["high"])]
    table.row(second["fold"], number(second["value"]), ends, percent(second["left"])).append("")
    return table


def test_csv_has_whole_numbers_and_a_column_for_each(table: Table) -> None:
    assert list(csv.reader(io.StringIO(table.csv()))) == [
        ["fold", "value", "95 % interval low", "95 % interval high", "left", "left, as shown",
         "why"],
        ["0", "0.123456", "0.1", "0.2", "0.5", "at most 50 %", '50 % of x_1 "so"'],
        ["1", "", "", "0.3", "", "–", ""],
    ]  # fmt: skip
    without_head = Table("one", "")
    without_head.row("digest", "a1")
    assert without_head.csv() == "digest,a1\n"


def test_latex_shows_what_the_page_shows(table: Table) -> None:
    latex = table.latex()
    assert r"\caption{Of a \& b}" in latex
    assert r"\begin{tabular}{rrrrl}" in latex
    assert r"fold & value & 95 \% interval & left & why \\" in latex
    assert r'0 & 0.123 & 0.100 to 0.200 & at most 50 \% & 50 \% of x\_1 "so" \\' in latex
    table.caption, table.head = "", []
    assert r"\caption" not in table.latex()
    assert r"\midrule" not in table.latex()


def test_html_says_where_every_number_stands(table: Table) -> None:
    page = table.html()
    assert "<caption>Of a &amp; b</caption>" in page
    assert '<th scope="col">fold</th>' in page
    assert (
        '<th scope="row"><data value="0" data-key="/f/0/fold" data-as="str">0</data></th>' in page
    )
    assert (
        '<td><strong><data value="0.123456" data-key="/f/0/value" data-as="number">0.123</data>'
        "</strong></td>"
    ) in page
    assert "<details><summary>more</summary>&#34;so&#34;</details><svg></svg></td>" in page
    table.names_in = 1
    assert '<th scope="row">–</th>' in table.html()
    table.head[0] = ""
    assert "<thead><tr><td></td><th" in table.html()  # an empty heading is a fault to axe


@pytest.mark.parametrize(
    ("text", "latex"), [("\\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
                        ("a_b^c~$%#&", r"a\_b\textasciicircum{}c\textasciitilde{}\$\%\#\&")]
)  # fmt: skip
def test_latex_of_what_is_no_text(text: str, latex: str) -> None:
    table = Table("one", "")
    table.row(text)
    assert latex in table.latex()


def test_every_table_of_a_run(tmp_path: Path) -> None:
    predictions, history = fake_run()
    summary = json.loads(json.dumps(summary_of(predictions, history)))
    page = render(summary, history, predictions)
    captions = re.findall(r"<table>\n<caption>(.*?)</caption>", page, flags=re.S)
    assert list(map(html.unescape, captions)) == [table.caption for table in page.tables]
    headings = re.findall(r'<h[23] id="([^"]+)">', page)
    assert {table.section for table in page.tables} <= set(headings)
    files = write_tables(page.tables, tmp_path / "new")
    assert len(files) == 2 * page.count("<table>") == len(set(files))
    assert all(file.stat().st_size > 0 for file in files)
    (metrics,) = [file for file in files if file.name == "metrics-murmur.csv"]
    with metrics.open() as lines:
        rows = {row["metric"].split(" (")[0]: row for row in csv.DictReader(lines)}
    for metric in summary["tasks"]["murmur"]["metrics"].values():
        row = rows[metric["label"].split(" (")[0]]
        assert float(row["all folds"]) == metric["value"]
        high = row["95 % interval high"]
        assert (float(high) if high else None) == metric["high"]
        assert (metric["high"] is None) == (metric["label"] == "calibration error (ECE)")
        assert float(row["fold 3"]) == metric["folds"][3]["value"]


def test_every_name_of_a_file_is_documented() -> None:
    """Papers include these files: their names are the same in every run."""
    paper = DOCS.read_text().split("## For a paper")[1]
    documented = set(re.findall(r"`([^`\n]+)`", paper))
    predictions, history = fake_run()
    page = render(summary_of(predictions, history), history, predictions)
    for name in [*(table.name for table in page.tables), *page.figures]:
        assert re.sub("murmur|outcome", "<task>", name) in documented
    assert not [table.name for table in page.tables if re.search(r"[0-9]", table.name)]


def test_a_label_for_latex_and_names_that_repeat(table: Table) -> None:
    assert "\\caption{Of a \\& b}\n\\label{tab:x}" in table.latex("tab:x")
    assert "label" not in table.latex()
    table.caption = ""
    assert "label" not in table.latex("tab:x")
    assert distinct(["a", "b", "a", "a", "b"]) == ["a", "b", "a_2", "a_3", "b_2"]


def test_a_long_table_is_folded(table: Table) -> None:
    assert table.folded() == table.html()
    folded = table.folded(1)
    assert "<details><summary>Of a &amp; b (2 rows)</summary>" in folded
    assert table.html() in folded
