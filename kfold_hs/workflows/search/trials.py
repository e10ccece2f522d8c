"""The record of a trial: what became of a point of a search, a JSON file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kfold_hs.files import stored

COMPLETE, FAILED, STOPPED = "complete", "failed", "stopped"
_KINDS = {"number": int, "params": dict, "state": str, "name": str, "n_models": int}
_KINDS |= {"seconds": float}
"""Of what every record holds, whatever became of the trial."""
_MAYBE = ("value", "cause", "run", "digest", "predicted_with", "honest", "command")
"""What it holds besides, or null."""


def not_yet(name: str) -> dict[str, Any]:
    """The outcome of a trial of which nothing came: all that a record says but number and point."""
    return {**dict.fromkeys(_MAYBE), "name": name, "state": FAILED, "n_models": 0, "seconds": 0.0}


def read_record(path: Path) -> dict[str, Any]:
    """A record that was written.

    Raises
    ------
    DamagedFileError
        It is not what was written, or lacks something.
    """
    what = "the trial"
    record: dict[str, Any] = stored.read_json(path, what)
    with stored.parsing(path, what):
        if wrong := [key for key, kind in _KINDS.items() if type(record[key]) is not kind]:
            raise ValueError(f"{wrong[0]} is {record[wrong[0]]!r}")
        if lacks := [key for key in _MAYBE if key not in record]:
            raise ValueError(f"it has no {lacks[0]}")
        if record["state"] not in (COMPLETE, FAILED, STOPPED):
            raise ValueError(f"there is no state {record['state']!r}")
        if record["state"] == COMPLETE and not isinstance(record["value"], float):
            raise ValueError("it has no value")
    return record
