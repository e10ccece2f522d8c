"""gallery.json as the page takes it: ticks, texts that stay text, and why there is nothing.

Names come from other people's files: what a browser would not show, or would show in another
order, is written out as its code point, and what is long is cut, visibly.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfold_hs.errors import DamagedFileError
from kfold_hs.files.stored import read_json
from kfold_hs.report.gallery_content import MEDIA_TYPES, is_whole
from kfold_hs.report.traced import traced

SCHEMA = 1
_MOST_CHARACTERS = 60
_FEW_CLASSES = 4
_LIKELY = 0.1
"""Probability from which a class is shown, where a task has more classes than a few."""


def read_gallery(path: Path, digests: Mapping[str, str]) -> dict[str, Any] | None:
    """Content of gallery.json; None where there is none.

    One that cannot be read, is of another version or of another run is a `problem`.

    Parameters
    ----------
    path : Path
    digests : mapping
        Of the run (provenance of summary.json).
    """
    if not path.is_file():
        return None
    damaged = f"{path.name} is damaged or of another version of kfold-hs"
    try:
        content: dict[str, Any] = read_json(path, "the gallery")
    except DamagedFileError:
        return trouble(damaged, {})
    if content.get("schema") != SCHEMA or not {"problem", "digests"} <= set(content):
        return trouble(damaged, {})
    if content["problem"] is not None:
        return content if isinstance(content["problem"], str) else trouble(damaged, {})
    if content["digests"] != dict(digests):
        return trouble(f"{path.name} is of another run", {})
    return content if is_whole(content) else trouble(damaged, {})


def trouble(problem: str, digests: Mapping[str, str]) -> dict[str, Any]:
    """What gallery.json holds where nothing can be shown."""
    return {"schema": SCHEMA, "problem": problem, "digests": dict(digests)}


def view(
    content: dict[str, Any] | None, summary: Mapping[str, Any], config: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What the template takes: `absent` (why there is nothing, or null), `problem`, or all of it.

    Numbers are `traced`, with keys that begin with ``gallery.json#``.

    Parameters
    ----------
    content : dict, optional
        Of `read_gallery`.
    summary : mapping
        Of summary.json.
    config : mapping, optional
        The run's.
    """
    if content is None:
        return {"absent": _absent(summary, config), "problem": None}
    if content["problem"] is not None:
        return {"absent": None, "problem": content["problem"]}
    content = traced(content, "gallery.json#")
    found: dict[str, Any] = {**content, "absent": None, "media": None}
    found["has_states"] = any(
        each.get("states") for patient in content["patients"] for each in patient["recordings"]
    )
    if content["audio"] is not None:
        found["media"] = MEDIA_TYPES[content["audio"]["format"]]
    found["patients"] = [
        {
            **patient,
            "tasks": {task: _with_shown(each) for task, each in patient["tasks"].items()},
            "recordings": [_with_ticks(each) for each in patient["recordings"]],
        }
        for patient in content["patients"]
    ]
    return found


def _absent(summary: Mapping[str, Any], config: Mapping[str, Any] | None) -> str:
    asked = ((config or {}).get("judge") or {}).get("gallery") or {}
    if asked.get("patients") == 0:
        return "Switched off (judge.gallery.patients=0)."
    if summary.get("nested"):
        return "Not shown for run --nested: the models of its folds are of several runs."
    if summary.get("incomplete"):
        return "Shown once all folds are finished."
    return "Not made yet. Where recordings and checkpoints are, this makes it:"


def _with_shown(task: dict[str, Any]) -> dict[str, Any]:
    """The classes to show: all of a few, of many the label, what was called and what is likely."""
    probs = task["probs"]
    shown = [
        each
        for each, prob in probs.items()
        if len(probs) <= _FEW_CLASSES or each in (task["label"], task["called"]) or prob >= _LIKELY
    ]
    return {**task, "shown": shown, "n_more": len(probs) - len(shown)}


def _with_ticks(recording: Mapping[str, Any]) -> dict[str, Any]:
    """Whole seconds, and how far to the right they lie, in [0, 1]."""
    start, end = recording["start_s"], recording["end_s"]
    seconds = range(math.ceil(start), math.floor(end) + 1)
    ticks = [{"s": s, "at": (s - start) / max(end - start, 1e-9)} for s in seconds]
    # Those at the ends would touch what stands beside the axis.
    ticks = [tick for tick in ticks if 0.03 <= tick["at"] <= 0.97]
    beside = {"states": _placed(recording), "cycle": recording.get("cycle")}
    return {**recording, **beside, "ticks": ticks}


def _placed(recording: Mapping[str, Any]) -> list[dict[str, float]]:
    """States of the heart cycle in thousandths of the picture's width: from, width, state.

    Files of earlier versions, and of runs without a frame branch, have none.
    """
    start, end = recording["start_s"], recording["end_s"]
    scale = 1000 / max(end - start, 1e-9)
    return [
        {"from": round(scale * (a - start), 1), "width": round(scale * (b - a), 1), "state": state}
        for a, b, state in recording.get("states") or ()
    ]


def name(text: object, most: int = _MOST_CHARACTERS) -> str:
    """A name from somebody's file: cut when it is long, and without characters that act."""
    whole = str(text)
    shown = "".join(
        f"\\u{ord(each):04x}" if unicodedata.category(each) in {"Cc", "Cf", "Zl", "Zp"} else each
        for each in whole[:most]
    )
    return shown if len(whole) <= most else f"{shown}… ({len(whole):,} characters)"
