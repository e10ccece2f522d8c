"""The references of the site: everything that a user can name is documented, and comes in."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Literal

import pytest
from support.doc_blocks import PAGES

from kfold_hs.config.base import Settings
from kfold_hs.config.features import FeatureConfig
from kfold_hs.config.keys import keys

DOCS = Path(__file__).parents[2] / "docs"
sys.path.insert(0, str(DOCS / "ext"))

import coverage_list  # noqa: E402
import reference  # noqa: E402
import settings  # noqa: E402


def test_everything_that_a_user_can_name_is_documented() -> None:
    items = coverage_list.of_code()
    missing = [f"{each.kind} {each.name}" for each in items if not each.is_told]
    assert not missing, "say in a docstring or a help text what they are"
    kinds = {each.kind for each in items}
    assert kinds == {"name", "parameter", "member", "command", "option", "setting"}
    assert len({(each.kind, each.name) for each in items}) == len(items)


def test_what_is_not_documented_is_named() -> None:
    class Some(Settings):
        """Some settings.

        first, second : of two
            lines
        """

        first: int = 1
        second: int = 2
        third: int = 3

    Some.__module__ = "kfold_hs.some"
    found = {each.key: each.meaning for each in settings.of_class(Some, "some.")}
    assert found == {
        "some.first": "of two lines", "some.second": "of two lines", "some.third": "",
    }  # fmt: skip
    assert settings.introduction(Some) == "Some settings."


def test_every_key_is_in_the_reference_of_settings() -> None:
    shown = set(re.findall(r"^```\{confval\} (.+)$", settings.page(), re.MULTILINE))
    every = {key.replace("*", "NAME") for key in keys()}
    assert shown <= every
    # The others are groups, which are headings, and names of the user's.
    groups = {group.name for group in settings.read()}
    assert {key for key in every - shown if not key.endswith("NAME")} == groups - {""}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (bool, "`true` or `false`"),
        (Literal["a", "b"] | None, "`a` or `b` or `null`"),
        (tuple[float, float], "list of 2: each a number"),
        (tuple[str, ...], "list of texts"),
        (dict[str, Path], "mapping from name to path"),
    ],
)
def test_types_in_words(kind: object, words: str) -> None:
    assert settings.takes(kind) == words


def test_bounds_and_defaults_are_those_of_the_types() -> None:
    found = {each.key: each for each in settings.of_class(FeatureConfig, "features.")}
    assert found["features.n_mels"].takes == "whole number, 4 to 512"
    assert found["features.window_s"].takes == "number, above 0, at most 1"
    assert found["features.f_max_hz"].takes == "number, above 0"
    assert found["features.n_mels"].default == "64"
    assert found["features.band_pass_hz"].default == "null"


def test_pages_ask_for_every_public_name() -> None:
    text = (DOCS / "api.md").read_text()
    asked = [name for kind, names in reference.MARK.findall(text) if kind == "python" for name in
             names.split()]  # fmt: skip
    errors = [name for name in reference.public_names() if name.startswith("kfold_hs.errors.")]
    assert sorted([*asked, *errors]) == sorted(reference.public_names())
    assert "<!-- generated: errors -->" in text
    assert "<!-- generated: settings -->" in (DOCS / "settings.md").read_text()
    assert "<!-- generated: commands -->" in (DOCS / "commands.md").read_text()
    assert not reference.MARK.search(reference.filled(text))


@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- generated: " in page.read_text()],
                         ids=lambda page: page.name)  # fmt: skip
def test_a_page_that_is_filled_elsewhere_says_so_in_a_checkout(page: Path) -> None:
    before = page.read_text().split("<!-- generated: ")[0]
    assert re.search("^> In a checkout [^#]*`make docs`", before, re.MULTILINE)
    assert "In a checkout" not in reference.filled(page.read_text())
