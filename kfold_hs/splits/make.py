"""The split of a configuration: drawn, read from a file, or corrected after an audit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.aliases import joined, link, of_patients, write_aliases
from kfold_hs.config.schema import Config, TableData
from kfold_hs.errors import SplitError, listing
from kfold_hs.files.paths import refuse_overwriting, write_text
from kfold_hs.splits.audit import Finding, same_people
from kfold_hs.splits.hold_out import hold_out
from kfold_hs.splits.imported import certify, is_imported, read_folds
from kfold_hs.splits.split import Split
from kfold_hs.splits.stratify import SplitRule, stratify


def split_of(config: Config, cohort: Cohort) -> Split:
    """The split of `split.file` if that is set, otherwise a split drawn from the seed.

    Raises
    ------
    SplitError
        The file's split belongs to another cohort, or has other numbers than the configuration.
    """
    wanted = config.split
    if wanted.file is None:
        return _drawn(config, cohort)
    if is_imported(wanted.file):
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
                f"{wanted.file} has {key}={found}, but the configuration has {asked}. Add "
                f"{key}={found}."
            )
    split.check(cohort)
    return split


def _drawn(config: Config, cohort: Cohort) -> Split:
    wanted = config.split
    rule = SplitRule(wanted.stratify, wanted.by, wanted.test)
    if wanted.hold_out is None:
        assert wanted.n_folds is not None  # only split.hold_out leaves it open
        return stratify(cohort, wanted.n_folds, config.seed, wanted.n_repeats, rule)
    split = hold_out(cohort, wanted.hold_out, config.seed, rule)
    if wanted.n_folds not in (None, split.n_folds):
        raise SplitError(
            f"split.n_folds={wanted.n_folds}, but {wanted.hold_out} has {split.n_folds} values "
            f"({listing(split.sources)}), and each is a fold. Leave split.n_folds (--folds) away."
        )
    return split


_TABLES = {
    "bmdhs": ("train.csv", "additional_metadata.csv"),
    "cinc2016": ("REFERENCE.csv", "*/REFERENCE.csv"),
    "circor": ("training_data.csv",),
    "zchsound": ("*Heartsound Data Details.csv",),
}
"""Tables below `data.root` that a cohort is read from, by the kind of the data."""


def check_output(config: Config, output: Path) -> None:
    """Refuse to overwrite a file that the split is made from.

    Raises
    ------
    ConfigError
        The output is a table of the data, the alias table or `split.file`.
    """
    others = (config.data.aliases, config.split.file)
    refuse_overwriting(output, [*_data_files(config), *filter(None, others)])


def _data_files(config: Config) -> list[Path]:
    if isinstance(config.data, TableData):
        return [config.data.path]
    root = getattr(config.data, "root", None)
    if not isinstance(root, Path):  # the built-in people, or a plug-in's
        return []
    return [each for name in _TABLES.get(config.data.kind, ()) for each in root.glob(name)]


def fix_split(
    config: Config, cohort: Cohort, findings: Sequence[Finding], output: Path
) -> tuple[Split, Path]:
    """Join the ids that are one person; write a new split and the alias table.

    Returns
    -------
    split, aliases : Split, Path
        The split belongs to the cohort with `data.aliases=<aliases>`.
    """
    aliases = output.with_suffix(".aliases.csv")
    for each in (output, aliases):
        refuse_overwriting(each, _data_files(config))
    pairs = same_people(findings)
    linked = link(cohort, of_patients(pairs))
    drawn = config.split.model_copy(update={"file": None})
    split = split_of(config.model_copy(update={"split": drawn}), linked)
    # The new table replaces the one of the configuration.
    whole = joined(linked) if config.data.aliases else pairs
    write_text(aliases, write_aliases(whole))
    split.write(output)
    return split, aliases
