"""One model in place of all fold models: a bundle of its own, from a bundle.

It stands in the place of every fold model, so that stacking and everything after it are the
bundle's; it is asked once. Everybody whom the run split into folds was trained on by it, and is
scored no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfold_hs.bundle.format import (
    CARD,
    CERTIFICATE,
    Bundle,
    pack,
    sha256,
    write_branch,
    write_content,
)
from kfold_hs.files.paths import write_bytes, write_json, write_text
from kfold_hs.files.stored import read_bytes
from kfold_hs.splits.split import TEST, TRAIN


def write_alternative(
    folder: Path, bundle: Bundle, name: str, text: str, trained: Mapping[str, Any]
) -> None:
    """Write the bundle of one model.

    Parameters
    ----------
    folder : Path
        To be made; replaced where it is.
    bundle : Bundle
        Of the fold models.
    name, text : str
        Of the model: a word, and what it was trained on in a sentence.
    trained : mapping
        Content of its checkpoint.
    """
    place = {"repeat": 0, "seed": 0, "fold": 0, "epoch": int(trained["epoch"])}
    raw = pack(trained["model_state_dict"], place)
    file = f"models/{name}.safetensors"
    write_bytes(folder / file, raw)
    known = bundle.certificate
    people = [_trained_on(person) for person in known.people]
    write_json(folder / CERTIFICATE, {**known.to_dict(), "people": people}, checksum=False)
    own = {"file": file, "sha256": sha256(raw), "covariates": trained["covariates"]}
    if "frames" in trained:
        own["frames"] = write_branch(folder, name, trained["frames"], place)
    content = {key: value for key, value in bundle.content.items() if key != "graphs"}
    content["models"] = [
        {**place, "repeat": repeat, "fold": fold, **own}
        for repeat in range(known.n_repeats)
        for fold in range(known.n_folds)
    ]
    content["certificate"] = sha256(read_bytes(folder / CERTIFICATE, "the certificate"))
    write_content(folder, content)
    write_text(folder / CARD, f"# One model of `{content['run']}`: {name}\n\n{text}\n")


def _trained_on(person: Mapping[str, Any]) -> dict[str, Any]:
    patients = [
        {**each, "folds": [f if f == TEST else TRAIN for f in each["folds"]]}
        for each in person["patients"]
    ]
    return {**person, "patients": patients}
