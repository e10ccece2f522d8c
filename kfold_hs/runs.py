"""Runs that lie in a folder `reports/`, as those read them who did not make them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfold_hs.errors import KfoldHsError, SplitError
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
