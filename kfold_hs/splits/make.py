"""The split that a configuration asks for: drawn, read, or mended after an audit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.aliases import joined, link, of_patients, write_aliases
from kfold_hs.config.schema import CircorData, Config, TableData
from kfold_hs.errors import SplitError
from kfold_hs.files.paths import refuse_overwriting, write_text
from kfold_hs.splits.audit import Finding, same_people
from kfold_hs.splits.imported import certify, is_foreign, read_folds
from kfold_hs.splits.split import Split
from kfold_hs.splits.stratify import SplitRule, stratify


def make_split(config: Config, cohort: Cohort) -> Split:
    """The split of `split.file` when there is one, else drawn from the seed.

    Raises
    ------
    SplitError
        The file's split is of another cohort or has another number of folds.
    """
    wanted = config.split
    if wanted.file is None:
        rule = SplitRule(wanted.stratify, wanted.by, wanted.test)
        return stratify(cohort, wanted.n_folds, config.seed, wanted.n_repeats, rule)
    if is_foreign(wanted.file):
        folds = read_folds(wanted.file, cohort, config.data)
        split = certify(folds, cohort, str(wanted.file), config.seed)
    else:
        split = Split.read(wanted.file)
    for key, found, asked in (
        ("split.n_folds", split.n_folds, wanted.n_folds),
        ("split.n_repeats", split.n_repeats, wanted.n_repeats),
        ("split.by", split.by, wanted.by),
    ):
        if found != asked:
            raise SplitError(
                f"{wanted.file} has {key}={found}, and {asked} was asked for. Add {key}={found}."
            )
    split.check(cohort)
    return split


def check_output(config: Config, output: Path) -> None:
    """Refuse to write a split over a file that it is made of.

    Raises
    ------
    ConfigError
        The data's table, the table of aliases or `split.file` would be lost.
    """
    others = (config.data.aliases, config.split.file)
    refuse_overwriting(output, [*_data_files(config), *filter(None, others)])


def _data_files(config: Config) -> list[Path]:
    if isinstance(config.data, TableData):
        return [config.data.path]
    if isinstance(config.data, CircorData):
        return [config.data.root / "training_data.csv"]
    return []


def fix_split(
    config: Config, cohort: Cohort, findings: Sequence[Finding], output: Path
) -> tuple[Split, Path]:
    """Join who was found to be one person; write a new split and the table of aliases.

    Returns
    -------
    split, aliases : Split, Path
        The split is of the cohort with `data.aliases=<aliases>`.
    """
    aliases = output.with_suffix(".aliases.csv")
    for each in (output, aliases):
        refuse_overwriting(each, _data_files(config))
    pairs = same_people(findings)
    linked = link(cohort, of_patients(pairs))
    drawn = config.split.model_copy(update={"file": None})
    split = make_split(config.model_copy(update={"split": drawn}), linked)
    # The new table takes the place of the one that was given.
    whole = joined(linked) if config.data.aliases else pairs
    write_text(aliases, write_aliases(whole))
    split.write(output)
    return split, aliases
