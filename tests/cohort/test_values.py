"""Cells and CSV files as spreadsheets and libraries write them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfold_hs.cohort.csv_file import read_csv
from kfold_hs.cohort.values import are_same, is_missing, label_of, number, word
from kfold_hs.errors import CohortError


def test_missing_numbers_and_words() -> None:
    blank = ["", "  ", "\u00a0", "nan", "NaN", "N/A", "n/a", "NA", "#N/A", "null", "None", "none"]
    for cell in [*blank, "-", "--", "—", "?", ".", "...", "<NA>", None, float("nan")]:
        assert (is_missing(cell), word(cell), number(cell)) == (True, None, None), cell
    for cell in ("20", "20.00", "20,0", "2e1", "+20", " 20 ", "２０", "20.", 20, 20.0, "0020"):
        assert number(cell) == 20, cell
    for cell in ("1,234", "1 234", "1.234,5", "inf", "1e999", "1_0", "20 kg", "True", "0x14"):
        assert number(cell) is None, cell
    assert number("\u22121") == -1
    assert number("0,125") == 0.125
    assert not any(map(is_missing, ["0", "False", "no", "+", "Unknown", 0, False]))


def test_sameness() -> None:
    same = [("FALSE", "False"), ("false", False), ("", "nan"), ("20,0", "20.00"), ("a ", "a")]
    assert all(are_same(one, other) and are_same(other, one) for one, other in same)
    other = [("FALSE", "0"), ("", "0"), ("20", "21"), ("a", "b"), ("", "a"), ("I", "i")]
    assert not any(are_same(one, other) for one, other in other)


def test_a_class_is_a_label_whatever_it_is_called() -> None:
    assert label_of("None ", ("None", "Mild")) == "None"
    assert label_of("-", ("+", "-")) == "-"
    assert label_of("1.0", ("1", "0")) == "1"
    assert label_of("TRUE", ("True", "False")) == "True"
    assert label_of("01", ("1", "0")) == "1"
    assert label_of("1", ("1", "01")) == "1"
    assert label_of("1.0", ("1", "01")) == "1.0"  # which of them cannot be told: refused later
    assert label_of("N/A", ("1", "0")) is None
    assert label_of("none", ("None", "x")) == "none"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_cell_is_taken(one: str, other: str) -> None:
    assert are_same(one, other) == are_same(other, one)
    assert are_same(one, one)
    assert not (is_missing(one) and number(one) is not None)


TEXT = "id,täg,weight\n001,Ja,20.5\n\n002,Nein,\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_as_spreadsheets_save_it(
    tmp_path: Path, encoding: str, delimiter: str, end: str
) -> None:
    text = TEXT.replace(",", delimiter).replace("\n", end)
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    found = read_csv(path)
    assert list(found.table) == ["id", "täg", "weight"]
    assert found.table["id"].to_dict() == {2: "001", 4: "002"}
    assert ("Windows-1252" in found.note) == (encoding == "cp1252")


def test_csv_of_excel_has_a_line_of_its_own_and_commas_in_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('sep=;\r\nid;weight;;\r\n"a;b";20,5;;\r\n;;;\r\n')
    table = read_csv(path).table
    assert table.to_dict("list") == {"id": ["a;b"], "weight": ["20,5"]}
    assert table.index.tolist() == [3]


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"a,b\n1\n", "line 2 has 1 cell, .*2 columns"),
        (b"a,b\n1,2\n1,2,3\n", "line 3 has 3 cells"),
        (b"a,b,a\xc2\xa0\n1,2,3\n", "several columns with the name 'a'"),
        (b'a,b\n"1,2\n', "line 2.*quote"),
        (b"a,b\n1,\x81\n", "line 2 .*utf-8.*UTF-8"),
        ("a,b\n1,2\n".encode("utf-16-le"), "UTF-16 without"),
        (b"\xff\xfea", "utf-16"),
        (b"a,b\n" + b"x" * 200_000 + b",1\n", "line 2.*field larger"),
    ],
)
def test_csv_that_cannot_be_read(tmp_path: Path, content: bytes, match: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    with pytest.raises(CohortError, match=match):
        read_csv(path)
    with pytest.raises(CohortError, match=r"cannot read .*No such file"):
        read_csv(tmp_path / "b.csv")
    with pytest.raises(CohortError, match="cannot read"):
        read_csv(tmp_path)
