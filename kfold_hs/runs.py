"""Runs that lie in a folder `reports/`, as those read them who did not make them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfold_hs.config import load_yaml
from kfold_hs.errors import ConfigError, KfoldHsError, SplitError
from kfold_hs.paths import RunPaths
from kfold_hs.predictions import Predictions
from kfold_hs.splits import Split


def finished_run(folder: Path) -> tuple[RunPaths, dict[str, Any]]:
    """Files and summary of a finished run, from its folder under `reports/`.

    Raises
    ------
    KfoldHsError
        The folder holds no summary.json.
    """
    paths = RunPaths(folder.resolve().name, folder.resolve().parent.parent)
    if not paths.summary.is_file():
        raise KfoldHsError(
            f"{folder} is not the folder of a finished run: it has no summary.json. Give a "
            "folder under reports/, or finish the run by repeating its command."
        )
    return paths, json.loads(paths.summary.read_text())


def variants_tried(reports: Path, split: Split) -> dict[str, list[str]]:
    """Variants that were ever trained on the people and folds of a split.

    Every run folder counts whose split has a repeat with the same people in the same folds, be
    it finished or not: whoever saw its folds could choose by them. Runs of one configuration
    (`Config.digest`) are one variant. So do variants that a comparison or search predicted with the
    models of such a run, under its name.

    Parameters
    ----------
    reports : Path
        The folder of all runs.
    split : Split

    Returns
    -------
    dict
        Digest of a configuration -> names of its runs, both ascending. A run whose configuration
        this version cannot read is a variant of its own, under "unread <name>"; one whose split
        it cannot read is left out, since nobody can say whose it is.
    """
    mine, found = _repeats(split), dict[str, list[str]]()
    for folder in sorted(reports.iterdir()) if reports.is_dir() else []:
        paths = RunPaths(folder.name, reports.parent)
        if not (paths.config.is_file() and paths.split.is_file()):
            continue
        try:
            other = Split.read(paths.split)
        except SplitError:
            continue
        if other.fingerprint != split.fingerprint or not mine & _repeats(other):
            continue
        try:
            variant = load_yaml(paths.config).digest
        except ConfigError:
            variant = f"unread {folder.name}"
        found.setdefault(variant, []).append(folder.name)
    mine_by_name = {name for names in found.values() for name in names}
    for path in sorted([*reports.glob("*/comparison.json"), *reports.glob("*/tune.json")]):
        content = json.loads(path.read_text())
        for each in content["trials" if path.name == "tune.json" else "variants"]:
            if each["predicted_with"] in mine_by_name:
                found.setdefault(each["digest"], []).append(path.parent.name)
    return dict(sorted(found.items()))


def _repeats(split: Split) -> set[tuple[int, ...]]:
    """Fold of every person, ascending by id, of every repeat."""
    return set(zip(*(folds for _, folds in sorted(split.folds.items())), strict=True))


def check_one_split(paths: RunPaths, summary: Mapping[str, Any]) -> None:
    """Refuse a summary and predictions that are not of the split in the run's folder.

    Raises
    ------
    SplitError
        With the file that differs, and both digests.
    """
    split = Split.read(paths.split).digest
    found = {
        paths.summary: summary["provenance"]["digests"]["split"],
        paths.predictions: Predictions.digests(paths.predictions).get("split", "none"),
    }
    for path, digest in found.items():
        if digest != split:
            raise SplitError(
                f"{path} stands on the split {digest[:16]}, and {paths.split} is {split[:16]}: the "
                "files of two runs were mixed. Repeat the run's command."
            )
