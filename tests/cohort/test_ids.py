"""Ids are cleaned once, at the door, and those that look like one another are suspects."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfold_hs.cohort.ids import clean_name, suspects

SPELLINGS = [
    *("001 ", " 001", "001\t", "001\r\n", "001\u00a0", "\u2003001", "\ufeff001", "001\u3000"),
    *("0\u200b01", "0\u00ad01", "\u200e001", "00\u20601", "00\u00001", "０0１", "001\u2028"),
    *("001\ufe0f", "0\u034f01", "001\u3164", "00\u18081".replace("\u1808", "\u180e")),
]


@pytest.mark.parametrize("text", SPELLINGS, ids=ascii)
def test_what_cannot_be_seen_is_not_told_apart(text: str) -> None:
    assert clean_name(text) == "001"


def test_what_can_be_seen_stays() -> None:
    for text in ("Müller 3", "P_1-a", "患者 1", "a/b", "#1", "1.0", "001", "Ω"):
        assert clean_name(text) == text
    assert clean_name("cafe\u0301") == clean_name("café") == "café"
    assert clean_name("caf\udce9") == "caf\\udce9"  # not UTF-8: can still be written to a file


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_cleaning_twice_is_cleaning_once(text: str) -> None:
    once = clean_name(text)
    assert clean_name(once) == once == unicodedata.normalize("NFKC", once)
    assert clean_name(f" \ufeff{text}\u00a0") == once


def test_suspects_differ_in_what_spreadsheets_and_typists_change() -> None:
    ids = ["7", "007", "7.0", "P1", "p01", "A–1", "A-1", "B 2", "B2", "1.10", "1.1", "10", "x"]
    assert suspects(ids) == [("007", "7", "7.0"), ("A-1", "A–1"), ("B 2", "B2"), ("P1", "p01")]
    assert suspects(["1", "1", "2", "10", "100"]) == []


def test_suspects_in_other_digits_underscores_and_quotes() -> None:
    ids = [
        "12",
        "\u0661\u0662",
        "\u0967\u0968",
        "p_7",
        "p-7",
        "'9",
        "9",
        "#9",
        "a_b",
        "ab",
        "#",
        "'",
    ]
    assert suspects(ids) == sorted(
        [tuple(sorted(ids[:3])), tuple(sorted(ids[3:5])), tuple(sorted(ids[5:8]))]
    )
