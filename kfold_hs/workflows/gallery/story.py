"""The story of the gallery: the patients who are told worst, made with a run or after it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfold_hs.config.compose import load_yaml
from kfold_hs.config.judging import MOST_SHOWN, GalleryConfig
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, KfoldHsError
from kfold_hs.files.paths import RunPaths, remove, write_json
from kfold_hs.orchestrator.finished import check_one_split, finished_run
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.gallery import read_gallery, trouble
from kfold_hs.splits import Split
from kfold_hs.workflows.inputs import Listener, load_cohort

if TYPE_CHECKING:
    import torch

    from kfold_hs.cohort import Cohort
    from kfold_hs.learn.features.bank import Bank


def show_worst(
    paths: RunPaths,
    config: Config,
    cohort: Cohort,
    split: Split,
    bank: Bank,
    device: torch.device,
    listener: Listener,
) -> bool:
    """Write gallery.json of a run whose folds are all finished, unless it is there already.

    Whatever goes wrong here is told, in the file and to the listener, and loses nothing of the
    run. With judge.gallery.patients=0 a gallery that was made before is removed.

    Returns
    -------
    bool
        Whether the file changed.
    """
    wishes = config.judge.gallery
    if not wishes.patients:
        was_there = paths.gallery.exists()
        remove(paths.gallery)
        return was_there
    listener.stage("gallery")
    try:
        content = _content(paths, config, cohort, split, bank, device, wishes, listener)
    except Exception as error:  # the run is done and judged; this comes on top
        text = (
            str(error) if isinstance(error, KfoldHsError) else f"{type(error).__name__}: {error}."
        )
        content = trouble(text, Predictions.digests(paths.predictions))
        listener.note(f"the patients who are told worst could not be shown: {text}")
    if content is None:
        return False
    write_json(paths.gallery, content)
    return True


def gallery(
    folder: Path,
    listener: Listener,
    *,
    device: str = "auto",
    data: Path | None = None,
    patients: int | None = None,
    audio: bool | None = None,
) -> RunPaths:
    """Make the gallery of a run that is finished; its recordings and checkpoints are read.

    Parameters
    ----------
    folder : Path
        Of the run, under `reports/`.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    data : Path, optional
        Where the recordings are now (data.root or data.path); by default where the run had them.
    patients, audio
        In place of judge.gallery's; 0 patients remove the gallery.

    Raises
    ------
    KfoldHsError
        The run is not finished, or its recordings or models are missing or others.
    """
    if patients is not None and not 0 <= patients <= MOST_SHOWN:
        raise ConfigError(f"--patients {patients} must lie between 0 and {MOST_SHOWN}.")
    from kfold_hs.learn.device import pick_device
    from kfold_hs.learn.features import bank as banks

    paths, summary = finished_run(folder)
    check_one_split(paths, summary)
    _check_complete(summary, folder)
    config, split, where = load_yaml(paths.config), Split.read(paths.split), pick_device(device)
    asked = {"patients": patients, "audio": audio}
    given = {name: value for name, value in asked.items() if value is not None}
    wishes = config.judge.gallery.model_copy(update=given)
    if not wishes.patients:
        remove(paths.gallery)
        return paths
    config = _moved(config, data)
    cohort = load_cohort(config, listener)
    split.check_cohort(cohort)
    listener.stage("features")
    channel = getattr(config.data, "channel", None)
    bank = banks.build(cohort, config.features, channel, listener.step)
    listener.stage("gallery")
    content = _content(paths, config, cohort, split, bank, where, wishes, listener)
    if content is not None:
        write_json(paths.gallery, content)
    return paths


def _content(
    paths: RunPaths,
    config: Config,
    cohort: Cohort,
    split: Split,
    bank: Bank,
    device: torch.device,
    wishes: GalleryConfig,
    listener: Listener,
) -> dict[str, Any] | None:
    """What gallery.json is to hold; None where it holds that already."""
    from kfold_hs.workflows.gallery.exhibit import Exhibit

    exhibit = Exhibit(paths, config, cohort, split, bank, wishes, device)
    found = read_gallery(paths.gallery, exhibit.digests)
    if found is not None and found.get("stamp") == exhibit.stamp:
        return None
    return exhibit.make(listener.step)


def _check_complete(summary: dict[str, Any], folder: Path) -> None:
    if summary.get("nested"):
        raise KfoldHsError(
            f"{folder} is a run --nested: its folds are told by the models of several runs, and "
            "there is no gallery of it."
        )
    if summary.get("incomplete"):
        raise KfoldHsError(
            f"{folder} lacks {len(summary['incomplete'])} folds. Finish the run by repeating its "
            "command, which makes the gallery, too."
        )


def _moved(config: Config, data: Path | None) -> Config:
    """The configuration with the recordings somewhere else."""
    if data is None:
        return config
    for key in ("root", "path"):
        if hasattr(config.data, key):
            moved = config.data.model_copy(update={key: data})
            return config.model_copy(update={"data": moved})
    raise ConfigError(f"--data {data}: data={config.data.kind} lies in the cache, nowhere else.")
