"""Small folders in the layout of public cohorts, with the blemishes of the published files."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

RATE = 4000
POSITIONS = tuple(f"{posture}_{valve}" for posture in ("sup", "sit")
                  for valve in ("Mit", "Tri", "Pul", "Aor"))  # fmt: skip
DISEASES = ("AS", "AR", "MR", "MS")


def write_tone(path: Path, seed: int, hz: float = 0.0, seconds: float = 1.5) -> None:
    """Noise, and a tone where `hz` is above 0."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(round(seconds * RATE)) / RATE
    sound = 0.1 * rng.standard_normal(len(time_s)) + 0.1 * np.sin(2 * np.pi * hz * time_s)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, RATE, subtype="PCM_16")


def write_bmdhs(root: Path, n_patients: int = 16, n_recordings: int = 8) -> Path:
    """BMD-HS: labels run through all combinations of the four diseases; patient_003 has none known.

    One listed recording of patient_001 is missing, `MD_999_sup_Mit.wav` is listed nowhere, two
    positions of patient_002 are one file, and patient_004 says N although it has a disease.
    """
    names = [f"recording_{k + 1}" for k in range(n_recordings)]
    lines = [",".join(["patient_id", *DISEASES, "N", *names])]
    about = ["patient_id,Age,Gender,Smoker,Lives"]
    for i in range(n_patients):
        has = [(i >> bit) & 1 for bit in range(4)]
        group = "N" if not any(has) else DISEASES[has.index(1)] if sum(has) == 1 else "MD"
        files = [f"{group}_{i:03d}_{position}" for position in POSITIONS[:n_recordings]]
        for k, file in enumerate(files):
            write_tone(root / "train" / f"{file}.wav", 100 * i + k, 200.0 * has[0])
        normal = 1 if i == 4 else int(not any(has))
        labels = ["N/A"] * 5 if i == 3 else [str(each) for each in (*has, normal)]
        lines.append(",".join([f"patient_{i:03d}", *labels, *files]))
        if i != 3:
            about.append(f"patient_{i:03d},{20 + i},{'MF'[i % 2]},{i % 3 // 2},{'UR'[i // 2 % 2]}")
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    (root / "additional_metadata.csv").write_text("\n".join(about) + "\n")
    (root / "train" / f"AS_001_{POSITIONS[0]}.wav").unlink()
    shutil.copy(
        root / "train" / f"AR_002_{POSITIONS[0]}.wav", root / "train" / f"AR_002_{POSITIONS[1]}.wav"
    )
    write_tone(root / "train" / "MD_999_sup_Mit.wav", 9999)
    return root


def write_zchsound(
    root: Path,
    n_clean: int = 10,
    n_noise: int = 5,
    diagnoses: Sequence[str] = ("NORMAL", "ASD", "VSD", "PDA", "PFO"),
) -> Path:
    """ZCHSound: the diagnoses take turns; ZCH0002 and ZCH0003 (ASD and VSD) are one file."""
    for name, folder, numbers in (
        ("Clean", "clean Heartsound Data", range(1, n_clean + 1)),
        ("Noise", "Noise Heartsound Data Details", range(n_clean + 1, n_clean + n_noise + 1)),
    ):
        lines = ["fileName;gender;age(days);diagnosis"]
        for i in numbers:
            diagnosis = diagnoses[(i - 1) % len(diagnoses)]
            path = root / folder / f"ZCH{i:04d}.wav"
            write_tone(path, i, 100.0 * (i % 5))
            lines.append(f"ZCH{i:04d}.wav;{'MF'[i % 2]};{365.25 * i:g};{diagnosis}")
        (root / f"{name} Heartsound Data Details.csv").write_text("\n".join(lines) + "\n")
    clean = root / "clean Heartsound Data"
    shutil.copy(clean / "ZCH0002.wav", clean / "ZCH0003.wav")
    return root
