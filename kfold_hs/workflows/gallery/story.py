"""The gallery: the patients with the highest loss, made with a run or after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfold_hs.config.judging import MOST_SHOWN, GalleryConfig
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, KfoldHsError
from kfold_hs.files.paths import RunPaths, remove, write_json
from kfold_hs.orchestrator.finished import check_one_split, finished_run
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.predictions.table import Predictions
from kfold_hs.report.gallery import read_gallery, trouble
from kfold_hs.workflows.inputs import load_cohort

if TYPE_CHECKING:
    from kfold_hs.orchestrator.context import RunContext


def show_gallery(context: RunContext, progress: Progress) -> bool:
    """Write gallery.json of a run whose folds are all finished, unless it is there already.

    Whatever goes wrong here is told, in the file and to the progress, and loses nothing of the
    run. With judge.gallery.patients=0 a gallery that was made before is removed.

    Returns
    -------
    bool
        Whether the file changed.
    """
    paths, settings = context.paths, context.config.judge.gallery
    if not settings.patients:
        was_there = paths.gallery.exists()
        remove(paths.gallery)
        return was_there
    progress.stage("gallery")
    try:
        content = _content(context, settings, progress)
    except Exception as error:  # the run is done and judged; this comes on top
        text = (
            str(error) if isinstance(error, KfoldHsError) else f"{type(error).__name__}: {error}."
        )
        content = trouble(text, Predictions.digests(paths.predictions))
        progress.note(f"the patients with the highest loss could not be shown: {text}")
    if content is None:
        return False
    write_json(paths.gallery, content)
    return True


@dataclass(frozen=True)
class GalleryOptions:
    """What differs from the run's settings.

    Parameters
    ----------
    data : Path, optional
        Where the recordings are now (data.root or data.path); by default where the run had them.
    patients, audio
        In place of judge.gallery's; 0 patients remove the gallery.

    Raises
    ------
    ConfigError
        The number of patients is out of its bounds.
    """

    data: Path | None = None
    patients: int | None = None
    audio: bool | None = None

    def __post_init__(self) -> None:
        if self.patients is not None and not 0 <= self.patients <= MOST_SHOWN:
            raise ConfigError(f"--patients {self.patients} must lie between 0 and {MOST_SHOWN}.")


def gallery(
    folder: Path,
    progress: Progress,
    options: GalleryOptions = GalleryOptions(),
    device: str = "auto",
) -> RunPaths:
    """Make the gallery of a run that is finished; its recordings and checkpoints are read.

    Parameters
    ----------
    folder : Path
        Of the run, under `reports/`.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".

    Raises
    ------
    KfoldHsError
        The run is not finished, or its recordings or models are missing or others.
    """
    from kfold_hs.learn.device import pick_device
    from kfold_hs.orchestrator.context import RunContext, RunInputs, build_bank

    run = finished_run(folder)
    check_one_split(run)
    _check_complete(run.summary, folder)
    config, paths, where = run.config, run.paths, pick_device(device)
    asked = {"patients": options.patients, "audio": options.audio}
    given = {name: value for name, value in asked.items() if value is not None}
    settings = config.judge.gallery.model_copy(update=given)
    if not settings.patients:
        remove(paths.gallery)
        return paths
    config = _moved(config, options.data)
    cohort = load_cohort(config, progress)
    run.split.check_cohort(cohort)
    progress.stage("features")
    bank = build_bank(config, cohort, progress)
    inputs = RunInputs(cohort, run.split)
    context = RunContext(config, inputs, paths, run.digests, where, bank)
    progress.stage("gallery")
    content = _content(context, settings, progress)
    if content is not None:
        write_json(paths.gallery, content)
    return paths


def _content(
    context: RunContext, settings: GalleryConfig, progress: Progress
) -> dict[str, Any] | None:
    """What gallery.json is to hold; None where it holds that already."""
    from kfold_hs.workflows.gallery.exhibit import Exhibit

    exhibit = Exhibit(context, settings)
    found = read_gallery(context.paths.gallery, exhibit.digests)
    if found is not None and found.get("stamp") == exhibit.stamp:
        return None
    return exhibit.make(progress.step)


def _check_complete(summary: dict[str, Any], folder: Path) -> None:
    if summary.get("nested"):
        raise KfoldHsError(
            f"{folder} is a run --nested: the models of its folds are of several runs, and "
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
