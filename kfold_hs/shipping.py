"""The stories of `export` and `predict`: from a finished run to a bundle, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfold_hs.config import load_yaml
from kfold_hs.errors import BundleError, ConfigError
from kfold_hs.ground import Listener, load_cohort
from kfold_hs.paths import writing_folder
from kfold_hs.runs import check_one_split, finished_run
from kfold_hs.splits import Split


@dataclass(frozen=True)
class Predicted:
    """What `predict` came to: counts, and the audit in words."""

    counts: dict[str, Any]
    sentences: list[str]


def export(folder: Path, output: Path, listener: Listener) -> dict[str, Any]:
    """Make a bundle of a finished run.

    The recordings are read again: they must be those of the run, where its configuration says.

    Parameters
    ----------
    folder : Path
        Of the run, under `reports/`.
    output : Path
        The bundle's folder; must not exist yet.

    Returns
    -------
    dict
        The content of bundle.json.

    Raises
    ------
    KfoldHsError
        The run is not finished, a file is missing, or the recordings are others.
    """
    from kfold_hs.learn import bank as banks
    from kfold_hs.ship.export import check_finished, write_bundle

    refuse_existing(output)
    paths, summary = finished_run(folder)
    check_one_split(paths, summary)
    check_finished(summary, folder)
    config, split = load_yaml(paths.config), Split.read(paths.split)
    cohort = load_cohort(config, listener)
    split.check_cohort(cohort)
    listener.stage("features")
    channel = getattr(config.data, "channel", None)
    bank = banks.build(cohort, config.features, channel, listener.step)
    listener.stage("bundle")
    with writing_folder(output) as temporary:
        content = write_bundle(temporary, paths, summary, config, cohort, split, bank)
        temporary.chmod(0o755)
    return content


def predict(
    bundle_folder: Path,
    inputs: Sequence[Path],
    listener: Listener,
    *,
    output: Path | None = None,
    kind: str | None = None,
    device: str = "auto",
    coverage: float = 0.9,
) -> Predicted:
    """Score people by a bundle, and write a row for each.

    Parameters
    ----------
    bundle_folder : Path
    inputs : sequence of Path
        As `ship.inputs` says.
    output : Path, optional
        File, or folder for the challenge's files; standard output by default.
    kind : str, optional
        csv, json, parquet or challenge; by default as the output's suffix says.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    coverage : float
        Of the conformal sets, in (0, 1).

    Raises
    ------
    KfoldHsError
        The bundle or an input cannot be used at all. What is wrong with one recording is told
        in its patient's row.
    """
    from kfold_hs.learn.precision import pick_device
    from kfold_hs.ship.bundle import Bundle
    from kfold_hs.ship.inputs import find_patients
    from kfold_hs.ship.predict import Audit, predict_patients
    from kfold_hs.ship.sinks import opened, pick_format

    if not 0 < coverage < 1:
        raise ConfigError(f"--coverage {coverage:g} must lie between 0 and 1, e.g. 0.9.")
    chosen = pick_format(kind, output)
    where = pick_device(device)
    bundle = Bundle.read(bundle_folder)
    patients = find_patients(inputs, bundle.config.data)
    audit = Audit()
    listener.stage("patients")
    with opened(bundle, chosen, output) as sink:
        for rows in predict_patients(bundle, patients, where, listener.step, coverage):
            sink.write(rows)
            for row in rows:
                audit.count(row)
    certificate = bundle.certificate
    return Predicted(audit.to_dict(), audit.sentences(certificate.n_repeats * certificate.n_folds))


def refuse_existing(output: Path) -> None:
    """Refuse to write over something.

    Raises
    ------
    BundleError
        There is something of this name already.
    """
    if output.exists():
        raise BundleError(f"{output} is there already. Name a new folder with -o, or remove it.")
