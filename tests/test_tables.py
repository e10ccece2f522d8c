"""A page's tables as CSV and LaTeX: every table, every number whole, every word safe."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from test_judge import fake_run, summary_of
from test_judge import page_of as render

from kfold_hs.report.tables import tables_of, to_csv, to_latex, write_tables

PAGE = """<h2 id="one">One</h2>
<table><caption>Of a
 &amp; b</caption><thead><tr><th scope="col">fold</th><th scope="col"><button>value</button></th>
<th scope="col">95 % interval</th><th>left</th><th class="text">why</th></tr></thead><tbody>
<tr><th scope="row"><data value="0" data-key="/f/0/fold" data-as="str">0</data></th>
<td><data value="0.123456" data-key="/f/0/value" data-as="number">0.123</data></td>
<td><data value="0.1" data-key="/f/0/low" data-as="number">0.100</data> to
<data value="0.2" data-key="/f/0/high" data-as="number">0.200</data></td>
<td>at most <data value="0.5" data-key="/f/0/left" data-as="percent">50 %</data></td>
<td class="text">50 % of x_1<details><summary>more</summary>, "so"</details></td></tr>
<tr><th scope="row"><data value="1" data-key="/f/1/fold" data-as="str">1</data></th>
<td>–</td><td>– to <data value="0.3" data-key="/f/1/high" data-as="number">0.300</data></td>
<td>–</td><td class="text"></td></tr>
</tbody></table><script>"<table>"</script>
<table><tbody><tr><th scope="row">digest</th><td class="text">a1</td></tr></tbody></table>
"""


def test_csv_has_whole_numbers_and_a_column_for_each() -> None:
    first, second = tables_of(PAGE)
    assert (first.section, first.caption) == ("one", "Of a & b")
    assert list(csv.reader(io.StringIO(to_csv(first)))) == [
        ["fold", "value", "95 % interval low", "95 % interval high", "left", "left, as shown",
         "why"],
        ["0", "0.123456", "0.1", "0.2", "0.5", "at most 50 %", '50 % of x_1, "so"'],
        ["1", "", "", "0.3", "", "–", ""],
    ]  # fmt: skip
    assert to_csv(second) == "digest,a1\n"


def test_latex_shows_what_the_page_shows() -> None:
    first, second = map(to_latex, tables_of(PAGE))
    assert r"\caption{Of a \& b}" in first
    assert r"\begin{tabular}{rrrrl}" in first
    assert r"fold & value & 95 \% interval & left & why \\" in first
    assert r'0 & 0.123 & 0.100 to 0.200 & at most 50 \% & 50 \% of x\_1, "so" \\' in first
    assert r"\caption" not in second
    assert r"\midrule" not in second


@pytest.mark.parametrize(
    ("text", "latex"), [("\\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
                        ("a_b^c~$%#&", r"a\_b\textasciicircum{}c\textasciitilde{}\$\%\#\&")]
)  # fmt: skip
def test_latex_of_what_is_no_text(text: str, latex: str) -> None:
    page = f"<table><tr><td class='text'>{text.replace('&', '&amp;')}</td></tr></table>"
    assert latex in to_latex(tables_of(page)[0])


def test_every_table_of_a_run(tmp_path: Path) -> None:
    predictions, history = fake_run()
    summary = json.loads(json.dumps(summary_of(predictions, history)))
    page = render(summary, history, predictions)
    files = write_tables(page, tmp_path / "new")
    assert len(files) == 2 * page.count("<table>") == len(set(files))
    assert all(file.stat().st_size > 0 for file in files)
    (metrics,) = [file for file in files if file.match("*-metrics-murmur-*.csv")]
    with metrics.open() as lines:
        rows = {row["metric"].split(" (")[0]: row for row in csv.DictReader(lines)}
    for metric in summary["tasks"]["murmur"]["metrics"].values():
        row = rows[metric["label"].split(" (")[0]]
        assert float(row["all folds"]) == metric["value"]
        assert float(row["95 % interval high"]) == metric["high"]
        assert float(row["fold 3"]) == metric["folds"][3]["value"]
