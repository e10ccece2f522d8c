"""A bundle that can be given to everybody: nothing in it names a person, and a hub knows its files.

What becomes of that which a bundle holds of the people of its run:

ids             of persons and patients are left out. A digest of one would be found by trying all
                numbers
recordings      SHA-256 of their samples are digested again with a salt of this folder, each by
                itself; with `forgets` they are left out. Who has a recording can ask whether it was
                trained on, and its SHA-256 alone opens its folds; which others are of the same
                person is told to nobody. That keeps people from being scored by models that know
                them
labels          conformal scores are of groups of five persons and of all folds, rounded up, the
                largest 1: whoever computes somebody's score finds five people there under every
                label, in every repeat. Isotonic functions, whose steps are scores, are left out
characteristics counts below 5 are put together, all are rounded to fives, so that no difference of
                two is of a few; smallest and largest values are left out
digests         of split, cohort, features and configuration are left out

Weights, calibrations and mean spectra are of many people; what a network remembers of one is not
measured here.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from kfold_hs.bundle.certificate import again, masked
from kfold_hs.bundle.format import CERTIFICATE, sha256, write_content
from kfold_hs.errors import ConfigError, shown
from kfold_hs.files.paths import write_json, write_text
from kfold_hs.files.stored import read_bytes
from kfold_hs.judge.results.characteristics import LEAST_COUNT, REST, rounded
from kfold_hs.splits.split import TEST, TRAIN

_DECIMALS = 2
_LFS = ("*.safetensors", "*.onnx", "*.pt2")


@dataclass(frozen=True)
class HubOptions:
    """How a bundle is made ready for a hub.

    Parameters
    ----------
    license : str, optional
        As the hub writes it, e.g. "apache-2.0"; it stands nowhere unless somebody says it.
    forgets : bool
        Leave out the digests of recordings: then nobody is known to the bundle.

    Raises
    ------
    ConfigError
        The licence is no word that the hub takes.
    """

    license: str | None = None
    forgets: bool = False

    def __post_init__(self) -> None:
        if self.license is not None and not all(c.isalnum() or c in ".-_" for c in self.license):
            raise ConfigError(
                f"--license {shown(self.license)} is no name that the hub takes. It lists them at "
                "https://huggingface.co/docs/hub/repositories-licenses, e.g. apache-2.0, odc-by or "
                "cc-by-nc-4.0."
            )


def make_anonymous(folder: Path, content: Mapping[str, Any], options: HubOptions) -> dict[str, Any]:
    """Rewrite certificate.json and bundle.json of a bundle without what names people.

    Returns
    -------
    dict
        The content of bundle.json.
    """
    certificate = json.loads(read_bytes(folder / CERTIFICATE, "the certificate"))
    write_json(folder / CERTIFICATE, _certificate(certificate, options.forgets), checksum=False)
    found = {
        **content,
        "digests": {},  # of the run: its report has them, beside people
        "anonymous": {"license": options.license, "forgets": options.forgets},
        "conformal": {task: _scores(each) for task, each in content["conformal"].items()},
        "calibration": {
            task: {**each, "methods": _without_steps(each["methods"])}
            for task, each in content["calibration"].items()
        },
        "held_out": {
            task: [{**fit, "calibration": _without_steps(fit["calibration"])} for fit in each]
            for task, each in content["held_out"].items()
        },
        "development": _development(content["development"]),
        "certificate": sha256(read_bytes(folder / CERTIFICATE, "the certificate")),
    }
    write_content(folder, found)
    return found


def write_hub_files(folder: Path, content: Mapping[str, Any]) -> None:
    """config.json, an example, a notice, and which files are large."""
    config = content["config"]
    model, features = config["model"], config["features"]
    description = {
        "library_name": "kfold-hs",
        "model_type": "kfold-hs-ensemble",
        "pipeline_tag": "audio-classification",
        "architecture": (model.get("source") or {}).get("architecture")
        or model.get("backbone")
        or model["kind"],
        "n_models": len(content["models"]),
        "tasks": {
            name: {"classes": task["classes"], "positive": task["positive"]}
            for name, task in config["data"]["tasks"].items()
        },
        "sample_rate_hz": features.get("sample_rate_hz"),
        "content": "bundle.json",
        "kfold_hs_version": content["versions"]["kfold-hs"],
    }
    write_json(folder / "config.json", description, checksum=False)
    rules = [f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in _LFS]
    write_text(folder / ".gitattributes", "".join(rules))
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("kfold_hs.bundle", "."),
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined, autoescape=False,
    )  # fmt: skip
    for name, template in (("example.py", "example.py.j2"), ("NOTICE.md", "notice.md.j2")):
        write_text(folder / name, environment.get_template(template).render(bundle=content))


def _certificate(certificate: Mapping[str, Any], forgets: bool) -> dict[str, Any]:
    """A row a recording, in the order of the digests, whose folds the recording itself opens."""
    salt = secrets.token_hex(32)
    folds: dict[str, list[list[int]]] = {}
    for person in () if forgets else certificate["people"]:
        # Models that trained on one patient of a person trained on the person.
        theirs = [patient["folds"] for patient in person["patients"]]
        for patient in person["patients"]:
            for digest in patient["sha256"]:
                folds.setdefault(digest, []).extend(theirs)
    people: list[dict[str, Any]] = []
    for digest, each in folds.items():
        name = again(digest, salt)
        hidden = masked([_one(place) for place in zip(*each, strict=True)], digest, salt)
        patient = {"patient_id": name, "folds": hidden, "sha256": [name]}
        people.append({"person_id": name, "patients": [patient]})
    people.sort(key=lambda person: str(person["person_id"]))
    return {**certificate, "split": "", "fingerprint": "", "salt": salt, "people": people}


def _one(folds: Sequence[int]) -> int:
    """The fold of whoever is in these; of two, every model trained on one of them."""
    trained = set(folds) - {TEST}
    if not trained:
        return TEST
    return trained.pop() if len(trained) == 1 else TRAIN


def _scores(known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of every five persons the largest score, rounded up; of the five largest, 1.

    A person counts once, by their largest score; up to four with the smallest are left out. So
    wherever somebody's score lies under any label, five people may be there.
    """
    table = pd.concat([pd.DataFrame(dict(each)) for each in known], ignore_index=True)
    found = []
    for repeat in sorted(set(table["repeat"].tolist())):
        of_repeat = table[table["repeat"] == repeat]
        labels = sorted(set(of_repeat["label"].tolist()))
        groups = [(None, of_repeat), *((c, of_repeat[of_repeat["label"] == c]) for c in labels)]
        for label, rows in groups:
            largest = rows.groupby("person_id")["score"].max().to_numpy()
            largest = np.sort(largest)[::-1][: len(largest) // LEAST_COUNT * LEAST_COUNT]
            score = np.ceil(largest[::LEAST_COUNT] * 10**_DECIMALS) / 10**_DECIMALS
            if len(score):
                score[0] = 1.0
                each = {"repeat": int(repeat), "label": label, "n_each": LEAST_COUNT}
                found.append({**each, "score": score[::-1].tolist()})
    return found


def _without_steps(each: Mapping[str, Any]) -> dict[str, Any]:
    """Without isotonic functions: their steps are scores of people, with their labels' shares."""
    return {name: value for name, value in each.items() if name != "isotonic"}


def _development(found: Mapping[str, Any]) -> dict[str, Any]:
    whole = found["characteristics"]
    counts = ("n_persons", "n_patients", "n_recordings")
    parts: dict[str, dict[str, Any]] = {"patients": {}, "recordings": {}}
    for part, coarse in parts.items():
        for name, each in whole[part].items():
            flags = part == "recordings" and name == "quality"
            if levels := _flags(each) if flags else _coarse(each):
                coarse[name] = levels
    tasks = {
        name: {
            **each,
            "n_persons": rounded(each["n_persons"]),
            "n_patients": rounded(each["n_patients"]),
            "linear_predictor": _coarse(each["linear_predictor"]),
        }
        for name, each in found["tasks"].items()
    }
    whole = {**whole, **{name: rounded(whole[name]) for name in counts}, **parts}
    return {
        **found,
        "characteristics": {**whole, "hours": round(whole["hours"], 1)},
        "tasks": tasks,
    }


def _flags(each: Mapping[str, Any]) -> dict[str, Any]:
    """Counts that are of the same recordings, and add up to nothing."""
    kept = {name: level for name, level in each.items() if level["n"] >= LEAST_COUNT}
    return {
        name: {"n": rounded(level["n"]), "share": round(level["share"], 2)}
        for name, level in kept.items()
    }


def _coarse(each: Mapping[str, Any]) -> dict[str, Any]:
    """Counts, none of which is below 5; nothing where there is no other."""
    if "mean" in each:
        found = {**each, "low": None, "high": None}
        counts = {key: rounded(each[key]) for key in ("n", "n_missing") if key in each}
        return {**found, **counts} if each["n"] >= LEAST_COUNT else dict.fromkeys(found) | {"n": 0}
    few = {name: level["n"] for name, level in each.items() if level["n"] < LEAST_COUNT}
    kept = {name: level["n"] for name, level in each.items() if name not in few}
    rest = sum(few.values())
    if rest:
        rest += kept.pop(REST, 0)
        while rest < LEAST_COUNT and kept:
            rest += kept.pop(min(kept, key=lambda name: (kept[name], name)))
        kept[REST] = rest
    coarse = {name: rounded(n) for name, n in kept.items() if n >= LEAST_COUNT}
    of = sum(coarse.values())
    return {name: {"n": n, "share": n / of} for name, n in coarse.items()}
