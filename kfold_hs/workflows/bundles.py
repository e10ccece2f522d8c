"""`export` and `predict`: from a finished run to a bundle, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kfold_hs.errors import BundleError, ConfigError
from kfold_hs.files.paths import refuse_overwriting, writing_folder
from kfold_hs.files.stored import making_sense_of
from kfold_hs.judge.selection.conformal import CLASS, PROMISES
from kfold_hs.orchestrator.finished import check_one_split, finished_run
from kfold_hs.orchestrator.progress import Progress
from kfold_hs.workflows.inputs import load_cohort

if TYPE_CHECKING:
    from kfold_hs.bundle.hub import HubOptions
    from kfold_hs.bundle.rows import RowOptions


@dataclass(frozen=True)
class Predicted:
    """What `predict` came to: counts, and the audit in words."""

    counts: dict[str, Any]
    sentences: list[str]


def export(
    folder: Path,
    output: Path,
    progress: Progress,
    graphs: Sequence[str] = (),
    hub: HubOptions | None = None,
) -> dict[str, Any]:
    """Make a bundle of a finished run.

    The recordings are read again: they must be those of the run, where its configuration says.

    Parameters
    ----------
    folder : Path
        Of the run, under `reports/`.
    output : Path
        The bundle's folder; must not exist yet.
    graphs : sequence of str
        Kinds of files beside the weights that go from samples to probabilities: onnx, pt2.
    hub : HubOptions, optional
        Name nobody, and add the files that a hub of models wants (`kfold_hs.bundle.hub`).

    Returns
    -------
    dict
        The content of bundle.json.

    Raises
    ------
    KfoldHsError
        The run is not finished, a file is missing, or the recordings are others.
    """
    from kfold_hs.bundle.write import check_finished, write_bundle
    from kfold_hs.orchestrator.context import build_bank
    from kfold_hs.workflows.mlflow_runs import attach_bundle

    refuse_existing(output)
    run = finished_run(folder)
    check_one_split(run)
    check_finished(run.summary, folder)
    config = run.config
    if graphs:
        from kfold_hs.bundle.graph import check_graph
        from kfold_hs.bundle.portable import add_graphs, check_packages

        check_packages(graphs)
        check_graph(config, folder)
    cohort = load_cohort(config, progress)
    run.split.check_cohort(cohort)
    progress.stage("features")
    bank = build_bank(config, cohort, progress)
    progress.stage("bundle")
    with writing_folder(output) as temporary:
        with making_sense_of(run.paths.summary, run.paths.history, run.paths.predictions):
            content = write_bundle(temporary, run, cohort, bank, hub)
        if graphs:
            progress.stage("graphs")
            content = add_graphs(temporary, run.summary, graphs, progress.step)
        temporary.chmod(0o755)
    attach_bundle(config, run.paths, output, progress)
    return content


def hub_options(license: str | None = None, forgets: bool = False) -> HubOptions:
    """How `export` makes a bundle ready for a hub; as `kfold_hs.bundle.hub.HubOptions`."""
    from kfold_hs.bundle.hub import HubOptions

    return HubOptions(license, forgets)


@dataclass(frozen=True)
class PredictOptions:
    """How people are scored, and where their rows go.

    Parameters
    ----------
    output : Path, optional
        File, or folder for the challenge's files; standard output by default.
    kind : str, optional
        csv, json, parquet or challenge; by default what the output's suffix says.
    device : str
        "auto", "cpu", "cuda" or "cuda:N".
    coverage : float
        Of the conformal sets, in (0, 1).
    calibration : str
        temperature, vector or isotonic.
    promise : str
        To whom the coverage is promised: "class", to the patients of every class, or "all", to all
        patients together.

    Raises
    ------
    ConfigError
        The coverage is out of its bounds, or there is no such promise.
    """

    output: Path | None = None
    kind: str | None = None
    device: str = "auto"
    coverage: float = 0.9
    calibration: str = "temperature"
    promise: str = CLASS

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ConfigError(
                f"--coverage {self.coverage:g} must be above 0 and below 1, e.g. 0.9."
            )
        if self.promise not in PROMISES:
            raise ConfigError(
                f"--sets {str(self.promise)[:80]!r} must be one of {', '.join(PROMISES)}."
            )

    @property
    def rows(self) -> RowOptions:
        from kfold_hs.bundle.rows import RowOptions

        return RowOptions(self.coverage, self.calibration, self.promise)


def predict(
    bundle_folder: Path,
    inputs: Sequence[Path],
    progress: Progress,
    options: PredictOptions = PredictOptions(),
) -> Predicted:
    """Score people by a bundle, and write a row for each.

    With an output, rows are kept beside it until all are there, and a prediction that was
    interrupted goes on after the last one.

    Parameters
    ----------
    inputs : sequence of Path
        What `bundle.inputs` takes.

    Raises
    ------
    KfoldHsError
        The bundle or an input cannot be used at all. What is wrong with one recording is told
        in its patient's row.
    """
    from kfold_hs.bundle.format import Bundle
    from kfold_hs.bundle.inputs import find_patients
    from kfold_hs.bundle.predict import Audit, predict_patients
    from kfold_hs.bundle.resume_log import ResumeLog, key_of
    from kfold_hs.bundle.rows import beyond_promise, beyond_promise_to_known
    from kfold_hs.bundle.writers import challenge_tasks, opened, pick_format
    from kfold_hs.learn.device import pick_device

    output = options.output
    chosen = pick_format(options.kind, output)
    device = pick_device(options.device)
    bundle = Bundle.read(bundle_folder)
    if chosen == "challenge":
        challenge_tasks(bundle)
    given = find_patients(inputs, bundle.config.data)
    patients = given.patients
    if output is not None:
        sources = [sound.path for patient in patients for sound in patient.sounds]
        refuse_overwriting(output, [*inputs, *sources, *bundle_folder.rglob("*")])
    for note in given.notes:
        progress.note(note)
    audit = Audit()
    resume_log: AbstractContextManager[ResumeLog | None] = nullcontext(None)
    if output is not None:
        resume_log = ResumeLog(output, key_of(bundle, patients, device.type, options.rows))
    with resume_log as kept:
        before = kept.n_rows if kept else 0
        if before:
            progress.note(f"Going on after {before} of {len(patients)} patients.")

        def report(done: int, total: int) -> None:
            progress.step(before + done, before + total)

        progress.stage("patients")
        predicted = predict_patients(bundle, patients[before:], device, report, options.rows)
        if kept:
            for rows in predicted:
                kept.append(rows)
        with opened(bundle, chosen, output) as sink:
            for rows in kept.rows() if kept else predicted:
                sink.write(rows)
                for row in rows:
                    audit.count(row)
    certificate = bundle.certificate
    sentences = audit.sentences(certificate.n_repeats * certificate.n_folds)
    if bundle.forgets:
        sentences.append(
            "This bundle knows nobody (--forget-people): the scores of people whom it was trained "
            "on are too good."
        )
    sentences += beyond_promise(bundle, options.rows)
    if audit.n_known:
        sentences += beyond_promise_to_known(bundle, options.rows)
    if audit.n_known and not bundle.content["select"]["honest"]:
        sentences.append(
            "The scores of known people are too good: the epochs were chosen on these people "
            f"(select={bundle.content['select']['rule']})."
        )
    return Predicted(audit.to_dict(), sentences)


def refuse_existing(output: Path) -> None:
    """Refuse to write over something.

    Raises
    ------
    BundleError
        There is something of this name already.
    """
    if output.exists():
        raise BundleError(f"{output} is there already. Name a new folder with -o, or remove it.")
