"""Runs that lie in a folder `reports/`, as those read them who did not make them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kfold_hs.config import plugins
from kfold_hs.config.compose import load_yaml
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, DamagedFileError, KfoldHsError, SplitError
from kfold_hs.files import stored
from kfold_hs.files.paths import RunPaths, whose
from kfold_hs.predictions.table import Predictions
from kfold_hs.splits import Split


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, as it lies in its folder under `reports/`."""

    paths: RunPaths
    summary: dict[str, Any]

    @cached_property
    def config(self) -> Config:
        return load_yaml(self.paths.config)

    @cached_property
    def split(self) -> Split:
        return Split.read(self.paths.split)

    @property
    def digests(self) -> dict[str, str]:
        """What its fold models stand on."""
        return dict(self.summary["provenance"]["digests"])


def finished_run(folder: Path) -> FinishedRun:
    """The finished run of a folder under `reports/`.

    Raises
    ------
    KfoldHsError
        The folder holds no summary.json, or one that is damaged.
    """
    paths = RunPaths(*whose(folder))
    if not paths.summary.is_file():
        raise KfoldHsError(
            f"{folder} is not the folder of a finished run: it has no summary.json. Give a "
            "folder under reports/, or finish the run by repeating its command."
        )
    summary: dict[str, Any] = stored.read_json(paths.summary, "the summary")
    with stored.making_sense_of(paths.summary):
        # What every story asks of it before anything else.
        dict(summary["provenance"]["digests"]), summary["headline"]
    if summary.get("imported"):
        raise KfoldHsError(
            f"{folder} is an evaluation of imported predictions, which has no models. Give the "
            "folder of a run."
        )
    with stored.making_sense_of(paths.summary):
        summary["incomplete"]
    return FinishedRun(paths, summary)


def variants_tried(reports: Path, split: Split) -> dict[str, list[str]]:
    """Variants that were ever trained on the people and folds of a split.

    Every run folder counts whose split has a repeat with the same people in the same folds, be
    it finished or not: whoever saw its folds could choose by them. Runs that differ by repeats,
    seeds of every fold, device or name are one variant (`Config.variant_digest`). Variants that a
    comparison or search predicted with the models of such a run, under its name, count, too.

    Parameters
    ----------
    reports : Path
        The folder of all runs.
    split : Split

    Returns
    -------
    dict
        Digest of a variant -> names of its runs, both ascending. A run whose configuration
        this version cannot read is a variant of its own, under "unread <name>"; one whose split
        it cannot read is left out, since nobody can say whose it is, and so is a comparison or
        search that cannot be read. The user is told of each.
    """
    mine, found = _repeats(split), dict[str, list[str]]()
    for folder in sorted(reports.iterdir()) if reports.is_dir() else []:
        paths = RunPaths(folder.name, reports.parent)
        if not (paths.config.is_file() and paths.split.is_file()):
            continue
        try:
            other = Split.read(paths.split)
        except SplitError as error:
            stored.warn(f"left out of the count of variants tried: {error}")
            continue
        if other.fingerprint != split.fingerprint or not mine & _repeats(other):
            continue
        try:
            with plugins.reading_only():
                variant = load_yaml(paths.config).variant_digest
        except (ConfigError, DamagedFileError) as error:
            stored.warn(f"counted as a variant of its own: {error}")
            variant = f"unread {folder.name}"
        found.setdefault(variant, []).append(folder.name)
    mine_by_name = {name for names in found.values() for name in names}
    for folder in sorted(reports.iterdir()) if reports.is_dir() else []:
        for digest, name in _of_comparison_or_search(folder, split, mine_by_name):
            if name not in found.setdefault(digest, []):
                found[digest].append(name)
    return {digest: sorted(found[digest]) for digest in sorted(found)}


def plan_of(splits: Sequence[Split], variants: Mapping[str, str]) -> dict[str, Any]:
    """What a comparison writes before it begins: its variants count as tried from then on.

    Whatever is interrupted when, every run of it is told of the same variants.

    Parameters
    ----------
    splits : sequence of Split
        Of one cohort; several where variants are on different folds.
    variants : mapping
        Digest of a variant -> name of its run, made or not.
    """
    repeats = sorted({_digest(each) for split in splits for each in _repeats(split)})
    return {"fingerprint": splits[0].fingerprint, "repeats": repeats, "variants": dict(variants)}


def _of_comparison_or_search(folder: Path, split: Split, known: set[str]) -> list[tuple[str, str]]:
    """Digest and name of the variants that a comparison is of, or a search predicted."""
    plan, comparison, search = (
        folder / name for name in ("plan.json", "comparison.json", "tune.json")
    )
    for path in (plan, comparison, search):
        if not path.is_file():
            continue
        try:
            content = stored.read_json(path, "the results")
            with stored.making_sense_of(path):
                if path == plan:
                    same = {_digest(each) for each in _repeats(split)} & set(content["repeats"])
                    is_mine = content["fingerprint"] == split.fingerprint and same
                    found = content["variants"].items() if is_mine else []
                    # A run that was made is counted by its configuration.
                    return [(str(d), str(name)) for d, name in found if name not in known]
                each = content["trials" if path == search else "variants"]
                mine = [e for e in each if e["predicted_with"] in known]
                return [(str(e.get("variant", e["digest"])), folder.name) for e in mine]
        except DamagedFileError as error:
            stored.warn(f"left out of the count of variants tried: {error}")
    return []


def _digest(folds: tuple[int, ...]) -> str:
    return hashlib.sha256(json.dumps(folds).encode()).hexdigest()


def _repeats(split: Split) -> set[tuple[int, ...]]:
    """Fold of every person, ascending by id, of every repeat."""
    return set(zip(*(folds for _, folds in sorted(split.folds.items())), strict=True))


def check_one_split(run: FinishedRun) -> None:
    """Refuse a summary and predictions that are not of the split in the run's folder.

    Raises
    ------
    SplitError
        With the file that differs, and both digests.
    """
    paths, split = run.paths, run.split.digest
    found = {
        paths.summary: str(run.digests.get("split", "none")),
        paths.predictions: Predictions.digests(paths.predictions).get("split", "none"),
    }
    for path, digest in found.items():
        if digest != split:
            raise SplitError(
                f"{path} stands on the split {digest[:16]}, and {paths.split} is {split[:16]}: the "
                "files of two runs were mixed. Repeat the run's command."
            )
