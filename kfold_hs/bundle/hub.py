"""A bundle that can be given to everybody: nothing in it names a person, and a hub knows its files.

What becomes of that which a bundle holds of the people of its run:

ids             of persons and patients are left out. A digest of one would be found by trying all
                numbers
recordings      SHA-256 of their samples are digested again with a salt of this run, so that they
                match no other list; with `forgets` they are left out. Without a recording nobody
                finds out anything; who has one can ask whether it was trained on, and in which
                fold. That is what keeps people from being scored by models that know them
labels          stand beside a score of a conformal set alone: beside no person and no recording.
                Scores are rounded up to three decimals and numbered anew in every task and repeat,
                so that no score can be computed again and looked up. Sets can only become larger
characteristics counts below 5 are put together; smallest and largest values are left out

Weights, calibrations and mean spectra are of many people; what a network remembers of one is not
measured here.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from kfold_hs.bundle.certificate import again
from kfold_hs.bundle.format import CERTIFICATE, sha256, write_content
from kfold_hs.errors import ConfigError, shown
from kfold_hs.files.paths import write_json, write_text
from kfold_hs.files.stored import read_bytes
from kfold_hs.judge.results.characteristics import REST

LEAST_COUNT = 5
"""A count below this may be of people whom somebody recognises."""
_DECIMALS = 3
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
    development = content["development"]
    found = {
        **content,
        "anonymous": {"license": options.license, "forgets": options.forgets},
        "conformal": {task: _scores(each) for task, each in content["conformal"].items()},
        "development": {
            **development,
            "characteristics": _characteristics(development["characteristics"]),
        },
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
    """Who was trained on, by digests of digests, in the order of these."""
    salt = hashlib.sha256(f"{certificate['split']} {certificate['fingerprint']}".encode())
    found = {**certificate, "salt": salt.hexdigest(), "people": []}
    for person in () if forgets else certificate["people"]:
        patients = [
            {**patient, "sha256": sorted(again(each, found["salt"]) for each in patient["sha256"])}
            for patient in person["patients"]
        ]
        first = min(digest for patient in patients for digest in patient["sha256"])
        found["people"].append(
            {
                "person_id": first,
                "patients": [
                    {**patient, "patient_id": patient["sha256"][0]}
                    for patient in sorted(patients, key=lambda each: each["sha256"])
                ],
            }
        )
    found["people"].sort(key=lambda person: person["person_id"])
    return found


def _scores(known: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Conformal scores, rounded up, of people who are numbers."""
    table = pd.concat([pd.DataFrame(dict(each)) for each in known], ignore_index=True)
    table["score"] = np.ceil(table["score"] * 10**_DECIMALS) / 10**_DECIMALS
    table = table.sort_values(["repeat", "fold", "label", "score"], kind="stable")
    numbers = table.groupby("repeat")["person_id"].transform(lambda ids: pd.factorize(ids)[0])
    table["person_id"] = numbers.astype(str)
    found = []
    for key, rows in table.groupby(["repeat", "fold"]):
        repeat, fold = np.asarray(key, dtype=int).tolist()
        each = {name: rows[name].tolist() for name in ("person_id", "label", "score")}
        found.append({"repeat": repeat, "fold": fold, **each})
    return found


def _characteristics(found: Mapping[str, Any]) -> dict[str, Any]:
    parts = {
        part: {name: _coarse(each) for name, each in found[part].items()}
        for part in ("patients", "recordings")
    }
    return {**found, **parts}


def _coarse(each: Mapping[str, Any]) -> dict[str, Any]:
    if "mean" in each:
        return {**each, "low": None, "high": None}
    kept = {name: level for name, level in each.items() if level["n"] >= LEAST_COUNT}
    few = [level for name, level in each.items() if name not in kept]
    if few and any(level["n"] for level in few):
        rest = [*few, kept.pop(REST)] if REST in kept else few
        kept[REST] = {key: sum(level[key] for level in rest) for key in ("n", "share")}
    return kept
