"""summary.json as a type: what was written is read again, and anything else is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from support.fake_run import fake_run, summary_of

from kfold_hs.errors import DamagedFileError
from kfold_hs.files import stored
from kfold_hs.judge.results.summary import Summary

CONTENT = json.loads(json.dumps(summary_of(*fake_run(n_epochs=2))))
TYPED = [
    ("run",), ("headline",), ("headline", "value"), ("headline", "sentence"), ("select", "honest"),
    ("tasks",), ("tasks", "murmur", "metrics"), ("tasks", "murmur", "classes"), ("folds",),
    ("folds", 0, "seconds"), ("folds", 0, "kept_epoch"), ("split", "n_folds"),
    ("split", "train_share"), ("provenance", "digests"), ("provenance", "digests", "split"),
    ("cohort", "name"), ("schema",), ("incomplete",),
]  # fmt: skip


def changed(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    content = copy.deepcopy(CONTENT)
    inside = content
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    return content


def test_what_is_read_is_written_again_in_the_same_order() -> None:
    summary = Summary.from_json(CONTENT)
    assert json.dumps(summary.to_json()) == json.dumps(CONTENT)
    assert summary.headline.value == CONTENT["headline"]["value"]
    assert summary.tasks["murmur"].metrics == CONTENT["tasks"]["murmur"]["metrics"]
    assert summary.folds[1].overfitting_since == CONTENT["folds"][1]["overfitting_since"]


def test_keys_of_later_versions_stay_and_those_that_lack_are_not_made_up() -> None:
    content = changed(("headline", "later"), [1]) | {"new": {"a": 1}}
    del content["learning"], content["effort"], content["simulated"]
    assert Summary.from_json(content).to_json() == content
    assert Summary.from_json(content).extended(nested={"a": 1}).to_json() == content | {
        "nested": {"a": 1}
    }


def value_at(place: tuple[Any, ...]) -> Any:
    found: Any = CONTENT
    for key in place:
        found = found[key]
    return found


def allowed(place: tuple[Any, ...], value: Any) -> bool:
    """Whether the value has the type of the one that stands there; a whole number is a number."""
    now = value_at(place)
    return type(value) is type(now) or (isinstance(now, float) and type(value) is int)


OTHERS = [
    (place, value)
    for place in TYPED
    for value in (True, 8, "x", [[1]], {"a": 1})
    if not allowed(place, value)
]


@pytest.mark.parametrize(("place", "value"), OTHERS, ids=str)
def test_a_value_of_another_type_is_a_damaged_file(place: tuple[Any, ...], value: Any) -> None:
    with (
        pytest.raises(DamagedFileError, match=r"\.".join(map(str, place))),
        stored.parsing(Path("summary.json"), "the summary"),
    ):
        Summary.from_json(changed(place, value))


@pytest.mark.parametrize("key", ["run", "headline", "tasks", "folds", "split", "provenance"])
def test_a_key_that_code_reads_cannot_lack(key: str) -> None:
    content = {name: value for name, value in CONTENT.items() if name != key}
    with pytest.raises(ValueError, match=f"{key}: Field required"):
        Summary.from_json(content)
