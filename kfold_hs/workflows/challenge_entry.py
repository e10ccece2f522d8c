"""An entry to the PhysioNet/CinC Challenge 2022: what its `team_code.py` calls.

    DIR/team_code.py      the three functions of the official interface
    DIR/config.yaml       the settings that it trains with
    DIR/requirements.txt
    DIR/model/bundle/     of a finished run, where one was given: works without training

The data are those of the challenge: a folder of <id>.txt headers with the recordings beside them,
and no table. What is trained is a cross-validation; what predicts is the bundle of its fold models.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path

import numpy as np

from kfold_hs.cohort.readers.circor import (
    COLUMNS,
    COVARIATES,
    LOCATIONS,
    parse_patient,
    read_patient,
)
from kfold_hs.config.compose import load_yaml
from kfold_hs.config.schema import CircorData, Config
from kfold_hs.errors import CohortError, ConfigError
from kfold_hs.files.paths import RunPaths, write_text, writing_folder
from kfold_hs.judge.metrics.challenge2022 import MURMUR, OUTCOME
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.predictions import cycle
from kfold_hs.workflows import bundles, cross_validation
from kfold_hs.workflows.options import RunOptions

TEMPLATE = "team_code.py.txt"


def write_entry(folder: Path, config: Config, run: Path | None, progress: Progress) -> None:
    """Write the folder of an entry.

    Parameters
    ----------
    folder : Path
        Must not exist yet.
    config : Config
        What it trains with; its data are replaced by the challenge's.
    run : Path, optional
        A finished run's folder under `reports/`, whose bundle goes along.

    Raises
    ------
    KfoldHsError
        As of `check_entry` and `shipping.export`.
    """
    from kfold_hs.learn.training.checks import check_training

    bundles.refuse_existing(folder)
    check_entry(config, run)
    check_training(config)
    with writing_folder(folder) as temporary:
        code = resources.files("kfold_hs.workflows").joinpath(TEMPLATE).read_text("utf-8")
        write_text(temporary / "team_code.py", code)
        write_text(temporary / "config.yaml", _on(config, Path("data")).to_yaml())
        write_text(temporary / "requirements.txt", f"kfold-hs=={metadata.version('kfold-hs')}\n")
        if run is not None:
            bundles.export(run, temporary / "model" / "bundle", progress)
        temporary.chmod(0o755)


def check_entry(config: Config, run: Path | None) -> None:
    """Refuse settings that do not answer what the challenge asks, or that its data lack.

    Raises
    ------
    ConfigError
        With what is asked for, and what there is.
    """
    asked = {"murmur": MURMUR, "outcome": OUTCOME}
    tasks = config.data.tasks
    why = []
    if {name: set(task.classes) for name, task in tasks.items()} != {
        name: set(classes) for name, classes in asked.items()
    }:
        here = "; ".join(f"{name[:80]}: {', '.join(t.classes)[:80]}" for name, t in tasks.items())
        there = "; ".join(f"{name}: {', '.join(classes)}" for name, classes in asked.items())
        why.append(f"the challenge asks for two tasks ({there}), and there is {here}")
    names = [*config.model.covariates]
    if config.predict.stack != "none":
        ours = {*tasks, cycle.SOURCE}
        names += [name for task in tasks.values() for name in task.stack if name not in ours]
    if config.split.stratify != "auto":
        names += [name for name in config.split.stratify if name not in {"n_recordings", "site"}]
    names += [config.split.hold_out] if config.split.hold_out else []
    if lacking := [name[:80] for name in dict.fromkeys(names) if name not in COVARIATES]:
        why.append(f"its data hold {', '.join(COVARIATES)}, and not {', '.join(lacking)}")
    if why:
        whose = "these settings" if run is None else run
        raise ConfigError(
            f"no entry can be made of {whose}: {'; '.join(why)}. Make it of a run on data=circor, "
            "or export the run as a bundle with -o."
        )


def train(config_file: Path, data_folder: Path, model_folder: Path, progress: Progress) -> None:
    """Cross-validate on the challenge's data and leave the bundle in `model_folder`.

    Raises
    ------
    KfoldHsError
        As `cross_validation.run`; the folder holds no patient, or a bundle already.
    """
    bundle = model_folder / "bundle"
    bundles.refuse_existing(bundle)
    with tempfile.TemporaryDirectory(prefix="kfold-hs-") as name:
        root = Path(name) / "data"
        root.mkdir()
        (root / "training_data").symlink_to(data_folder.resolve(), target_is_directory=True)
        write_text(root / "training_data.csv", table_of(data_folder))
        config = _on(load_yaml(config_file), root)
        options = RunOptions(name="challenge", root=Path(name))
        cross_validation.run(config, progress, options)
        paths = RunPaths("challenge", Path(name))
        bundles.export(paths.report_folder, bundle, progress)


def table_of(data_folder: Path) -> str:
    """training_data.csv as the headers <id>.txt have it; what a header lacks is `nan`.

    Raises
    ------
    CohortError
        There is no header.
    """
    files = sorted(data_folder.glob("*.txt"))
    if not files:
        raise CohortError(f"{data_folder} holds no patient: a file <id>.txt for each.")
    text = io.StringIO()
    writer = csv.DictWriter(text, ["Patient ID", LOCATIONS, *COLUMNS], lineterminator="\n")
    writer.writeheader()
    for path in files:
        fields, recordings = read_patient(path)
        row = {name: fields.get(name, "nan") for name in COLUMNS}
        sites = "+".join(dict.fromkeys(site for site, _ in recordings))
        writer.writerow({"Patient ID": path.stem, LOCATIONS: sites, **row})
    return text.getvalue()


class Model:
    """A bundle that answers as the challenge asks.

    Parameters
    ----------
    model_folder : Path
        That `train` left.
    """

    def __init__(self, model_folder: Path) -> None:
        from kfold_hs.bundle.audio_reader import AudioReader
        from kfold_hs.bundle.ensemble import Ensemble
        from kfold_hs.bundle.format import Bundle
        from kfold_hs.bundle.writers import challenge_tasks
        from kfold_hs.learn.device import pick_device

        bundle = Bundle.read(model_folder / "bundle")
        self._tasks = challenge_tasks(bundle)
        self._ensemble = Ensemble(bundle, pick_device("auto"))
        self._reader = AudioReader(bundle.config, bundle.channel, bundle.content["typical"])

    def __call__(
        self, data: str, recordings: Sequence[np.ndarray]
    ) -> tuple[list[str], list[int], list[float]]:
        """Classes, labels and probabilities of a patient; all empty where nothing can be said.

        Parameters
        ----------
        data : str
            The text of <id>.txt; its first line has the sample rate.
        recordings : sequence of ndarray, each (n_samples,) int16
            In the order of the header's lines.

        Raises
        ------
        CohortError
            The header cannot be read, or lists another number of recordings.
        """
        from kfold_hs.bundle.patients import patient_of
        from kfold_hs.bundle.predict import predict_chunk
        from kfold_hs.bundle.writers import challenge_answer

        words = data.split("\n", 1)[0].split()
        if len(words) < 3 or not words[2].isdecimal():
            raise CohortError(
                f"a header begins with id, number of recordings and rate in Hz, not {words}."
            )
        fields, listed = parse_patient(data, f"{words[0]}.txt")
        if len(listed) != len(recordings):
            raise CohortError(
                f"patient {words[0]} lists {len(listed)} recordings, and {len(recordings)} came."
            )
        patient = patient_of(words[0], fields, listed, Path())
        audio = self._reader.read_arrays(patient, recordings, int(words[2]))
        (row,) = predict_chunk(self._ensemble, [audio])
        return challenge_answer(row, self._tasks)


def _on(config: Config, root: Path) -> Config:
    """The same settings on CirCor's data under `root`."""
    data = CircorData(kind="circor", root=root, tasks=config.data.tasks)
    split = config.split.model_copy(update={"file": None})
    return config.model_copy(update={"data": data, "split": split})
