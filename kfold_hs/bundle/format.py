"""A bundle: everything that it takes to predict new people, in one folder.

    bundle.json        configuration, tasks, models, stacking, calibration, decisions, digests
    certificate.json   who the models were trained on; see `certificate`
    models/r0-s0-f0.safetensors ...   weights of every fold model: reading them executes nothing
    models/r0-s0-f0.frames.safetensors ...   those of its frame branch, where the run has one
    plugins/           source of the plug-ins that the models are made of; nothing imports it here
    README.md          the model card

Every file's SHA-256 stands in bundle.json, and a file that was changed is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from kfold_hs.bundle.certificate import Certificate, Scored
from kfold_hs.bundle.fits import Fits
from kfold_hs.cohort import Task
from kfold_hs.cohort.build import tasks_of
from kfold_hs.cohort.covariates import CovariateEncoder
from kfold_hs.config.schema import Config
from kfold_hs.errors import BundleError, DamagedFileError, listing
from kfold_hs.files import stored
from kfold_hs.files.paths import write_bytes, write_json
from kfold_hs.judge.selection.conformal import CLASS, Conformal
from kfold_hs.judge.selection.stacking import Rule
from kfold_hs.learn.frames.branch import FrameBranch
from kfold_hs.learn.models.network import HeartSoundNet, to_device, untrained_model

SCHEMA = 2
"""Of bundle.json; 2: what is fitted on labels is there for every fold, too (`fits`).

Conformal scores came to name their class later; without, see `Bundle.check_promise`. So did frame
branches: a run without them gives a bundle without them, as it always did.
"""
CONTENT, CERTIFICATE, CARD = "bundle.json", "certificate.json", "README.md"
PLUGINS = "plugins"


@dataclass(frozen=True)
class Member:
    """One fold model: its place in the run, its file, the rules of its covariates.

    frames : of its frame branch, what `write_branch` gave; None: it has none
    """

    repeat: int
    seed: int
    fold: int
    epoch: int
    file: str
    sha256: str
    covariates: tuple[Mapping[str, Any], ...] = ()
    frames: Mapping[str, Any] | None = None

    @property
    def encoder(self) -> CovariateEncoder:
        return CovariateEncoder(tuple(dict(rule) for rule in self.covariates))


@dataclass(frozen=True, eq=False)
class Bundle:
    """A bundle that was read and found whole.

    Parameters
    ----------
    folder : Path
    config : Config
        Of the run; where its data lay is left out.
    members : tuple of Member
    certificate : Certificate
    content : mapping
        bundle.json.
    """

    folder: Path
    config: Config
    members: tuple[Member, ...]
    certificate: Certificate
    content: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> Bundle:
        """Read a bundle; no weights yet (`model` reads those).

        Raises
        ------
        BundleError
            Not a bundle, of another schema, or changed after it was written.
        """
        path = folder / CONTENT
        if not path.is_file():
            raise BundleError(
                f"{folder} is not a bundle: it has no {CONTENT}. `kfold-hs export RUN -o DIR` "
                "makes one of a finished run."
            )
        try:
            content = stored.read_json(path, "the content")
            if (schema := content["schema"]) != SCHEMA:
                raise BundleError(
                    f"{path} has schema {str(schema)[:80]}, and this version of kfold-hs reads "
                    f"{SCHEMA}, which holds what was fitted without each fold. Export the run "
                    "again."
                )
            if "digest" in content:  # bundles of older versions have none
                _check(path, *_sealed(content))
            known = stored.read_bytes(folder / CERTIFICATE, "the certificate", stored.MOST_TEXT)
            _check(folder / CERTIFICATE, known, content["certificate"])
            found = cls(
                folder,
                Config.model_validate(content["config"]),
                tuple(
                    Member(**{**each, "covariates": tuple(each["covariates"])})
                    for each in content["models"]
                ),
                Certificate.from_dict(stored.parse_json(known)),
                content,
            )
            found._check_branches()
            return found
        except BundleError:
            raise
        except Exception as error:  # anything may be where something else belongs
            fault = error.fault if isinstance(error, DamagedFileError) else stored.words(error)
            raise BundleError(
                f"cannot read the bundle {folder}: {fault}. Copy or export it again."
            ) from error

    @cached_property
    def tasks(self) -> tuple[Task, ...]:
        return tasks_of(self.config.data.tasks)

    @property
    def channel(self) -> int | None:
        """Channel of a recording that has several, from 0; None: one is expected."""
        channel: int | None = getattr(self.config.data, "channel", None)
        return channel

    @property
    def covariates(self) -> tuple[str, ...]:
        """Names of everything but sound that the models or the stacking ask for."""
        names = [*self.config.model.covariates]
        for rules in self.rules.values():
            for rule in rules.values():
                names += [each["name"] for each in rule.encoder.rules]
        return tuple(dict.fromkeys(names))

    def unreadable(self, covariates: Mapping[str, Any]) -> list[str]:
        """What is given of a patient beside sound and no model can read, in words."""
        read: set[str] = set()
        faults: dict[str, str] = {}
        for encoder in self._encoders:
            unread = encoder.unreadable(covariates)
            read |= {each["name"] for each in encoder.rules if each["name"] not in unread}
            faults |= unread
        return [text for name, text in faults.items() if name not in read]

    @cached_property
    def _encoders(self) -> list[CovariateEncoder]:
        """Of all models and of all stacking."""
        found = [each.encoder for each in self.members if each.covariates]
        return found + [rule.encoder for rules in self.rules.values() for rule in rules.values()]

    @cached_property
    def rules(self) -> dict[str, dict[tuple[int, int], Rule]]:
        """Of every stacked task: (repeat, fold) -> what the other folds' rows gave."""
        return {
            task: {(each["repeat"], each["fold"]): Rule.from_dict(each["rule"]) for each in found}
            for task, found in self.content["stacking"].items()
        }

    @cached_property
    def fits(self) -> dict[str, Fits]:
        """Calibrators and decisions by task."""
        # Conformal scores name nobody where it is anonymous.
        people = Scored(self.certificate) if self.is_anonymous else None
        return {task.name: Fits.read(self.content, task.name, people) for task in self.tasks}

    @property
    def is_anonymous(self) -> bool:
        """Whether it names nobody (`kfold_hs.bundle.hub`)."""
        return "anonymous" in self.content

    @property
    def forgets(self) -> bool:
        """Whether it knows nobody, so that everybody is scored by all of its models."""
        return self.is_anonymous and self.content["anonymous"]["forgets"]

    @cached_property
    def conformal(self) -> dict[str, Conformal]:
        """What conformal sets are made from, by task."""
        return {task: Conformal(each) for task, each in self.content["conformal"].items()}

    def check_promise(self, promise: str) -> None:
        """Refuse what the scores of an older version cannot promise.

        Raises
        ------
        BundleError
            Sets for every class, and the bundle does not say which class a score is of.
        """
        if promise == CLASS and not all(each.has_labels for each in self.conformal.values()):
            raise BundleError(
                f"{self.folder} was made by an older version: its conformal scores lack the "
                "labels, and without these no coverage can be promised to every class. Export "
                "the run again, or ask for sets that cover all patients together (--sets all)."
            )

    def check_calibration(self, name: str) -> None:
        """Refuse a calibrator that it has not.

        Raises
        ------
        BundleError
            It was left out, as the isotonic ones are for a hub.
        """
        for task, each in self.content["calibration"].items():
            if name not in each["methods"]:
                raise BundleError(
                    f"{self.folder} has no {name} calibration of {task}: it has "
                    f"{', '.join(each['methods'])}. What is made for a hub has none whose steps "
                    "are scores of single people."
                )

    def model(self, member: Member, device: torch.device) -> HeartSoundNet:
        """A fold model with its weights, ready to be asked.

        Raises
        ------
        BundleError
            Its file is missing, was changed, or does not fit the configuration.
        """
        with _weights(self.folder / member.file, member.sha256, "the model") as weights:
            model = untrained_model(self.config, self.tasks, member.encoder.width)
            model.load_state_dict(weights)
        return to_device(model, device).eval()

    @property
    def has_branch(self) -> bool:
        """Whether its models have a frame branch: all of them or none."""
        return self.members[0].frames is not None

    def branch(self, member: Member, device: torch.device) -> FrameBranch | None:
        """The frame branch of a fold model, ready to be asked; None where the run has none.

        Raises
        ------
        BundleError
            As `model`.
        """
        if (said := member.frames) is None:
            return None
        path = self.folder / said["file"]
        with _weights(path, said["sha256"], "the frame branch") as weights:
            return FrameBranch.from_state({**said, "net": weights}, self.config, device)

    def _check_branches(self) -> None:
        lacking = [each.file for each in self.members if each.frames is None]
        asking = [t for t, each in self.rules.items() if any(r.of_cycle for r in each.values())]
        if lacking and (asking or len(lacking) < len(self.members)):
            why = (
                f"{', '.join(asking)} cannot be stacked without it"
                if asking
                else "other models have one"
            )
            raise BundleError(
                f"{self.folder} lacks the frame branch of {listing(lacking)}, and {why}. Export "
                "the run again."
            )


@contextmanager
def _weights(path: Path, digest: str, what: str) -> Iterator[dict[str, torch.Tensor]]:
    """Tensors of a file; what is wrong with it, or with putting them into a network, is told."""
    try:
        raw = stored.read_bytes(path, "the weights")
        _check(path, raw, digest)
        yield load_tensors(raw)
    except DamagedFileError as error:
        raise BundleError(f"cannot load {what} {path}: {error.fault}.") from error
    except (SafetensorError, RuntimeError) as error:
        raise BundleError(f"cannot load {what} {path}: {stored.words(error)}.") from error


def pack(state: Mapping[str, torch.Tensor], place: Mapping[str, int]) -> bytes:
    """Weights of a model as safetensors."""
    plain = {name: each.detach().cpu().contiguous().clone() for name, each in state.items()}
    # One entry: safetensors writes several in any order, and the file's digest would change.
    return save_tensors(plain, metadata={"place": json.dumps(dict(place))})


def write_branch(
    folder: Path, name: str, state: Mapping[str, Any], place: Mapping[str, int]
) -> dict[str, Any]:
    """Write the weights of a frame branch beside those of the model called `name`.

    Parameters
    ----------
    state : mapping
        `FrameBranch.to_state`, as a checkpoint has it.

    Returns
    -------
    dict
        `frames` of its member: file, sha256, sojourn, frame_s.
    """
    raw = pack(state["net"], place)
    file = f"models/{name}.frames.safetensors"
    write_bytes(folder / file, raw)
    plain = {key: value for key, value in state.items() if key != "net"}
    return {"file": file, "sha256": sha256(raw), **plain}


def write_content(folder: Path, content: Mapping[str, Any]) -> None:
    """Write bundle.json, with a digest of itself: bundles are sent to others, and copied."""
    plain = {key: value for key, value in content.items() if key != "digest"}
    as_read = json.loads(json.dumps(plain, allow_nan=False))
    write_json(folder / CONTENT, {**plain, "digest": sha256(_canonical(as_read))}, checksum=False)


def _sealed(content: Mapping[str, Any]) -> tuple[bytes, str]:
    plain = {key: value for key, value in content.items() if key != "digest"}
    return _canonical(plain), str(content["digest"])


def _canonical(plain: Mapping[str, Any]) -> bytes:
    return json.dumps(plain, sort_keys=True).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _check(path: Path, content: bytes, digest: str) -> None:
    if (found := sha256(content)) != digest:
        raise BundleError(
            f"{path} was changed after it was written: its SHA-256 is {found[:16]}, and {CONTENT} "
            f"says {digest[:16]}. Copy or export the bundle again."
        )
