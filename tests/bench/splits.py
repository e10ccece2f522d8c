"""Figures of docs/splits.md: balance, near copies, growth. Run by name, decides no test.

python tests/bench/splits.py balance DIR      DIR: CirCor in its official layout
python tests/bench/splits.py copies DIR
python tests/bench/splits.py growth
"""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import soundfile
from scipy import signal

from kfold_hs.cohort import Cohort, Task
from kfold_hs.cohort.audio import read_samples
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.cohort.synthetic.people import draw_patients, render
from kfold_hs.config.compose import compose
from kfold_hs.splits.audio_fingerprint import Match, Sound, matches, sound, sounds
from kfold_hs.splits.balance import balance, compare
from kfold_hs.splits.stratify import SplitRule, stratify

Change = Callable[[np.ndarray, int, np.random.Generator], tuple[np.ndarray, int]]


def load(root: str) -> Cohort:
    return read_cohort(compose(["data=circor", f"data.root={root}"]).data)


def show_balance(root: str) -> None:
    cohort = load(root)
    split = stratify(cohort, 5, 0, n_repeats=3, rule=SplitRule(covariates="auto"))
    for repeat in range(3):
        print(f"repeat {repeat}: worst relative deviation (above the integer limit)")
        for row in compare(cohort, split, repeat):
            each = [row[kind] for kind in ("label", "covariate", "size")]
            cells = [
                "-" if v["deviation"] is None
                else f"{v['deviation']:7.1%} (+{max(0, v['above_limit']):.1%})"
                for v in each
            ]  # fmt: skip
            print(f"  {row['name']:<42}" + "".join(f"{cell:>20}" for cell in cells))
        rows = [row for row in balance(cohort, split, repeat) if row["kind"] == "covariate"]
        large = [row for row in rows if row["limit"] <= 0.10]
        print(f"  covariates whose limit is below 10 %: {len(large)} of {len(rows)}, "
              f"worst {max(row['deviation'] for row in large):.1%}")  # fmt: skip


# ---------------------------------------------------------------------------- near copies


def shifted(x: np.ndarray, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """0.2 to 1.5 s of faint noise in front."""
    front = rng.normal(0, 1e-3, int(rng.uniform(0.2, 1.5) * rate))
    return np.concatenate([front, x]), rate


def trimmed(x: np.ndarray, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Half of it, 5 s at least, from anywhere."""
    n = min(len(x), max(5 * rate, len(x) // 2))
    start = int(rng.uniform(0, len(x) - n + 1))
    return x[start : start + n], rate


def resampled(x: np.ndarray, rate: int, _: np.random.Generator) -> tuple[np.ndarray, int]:
    return signal.resample_poly(x, 1, 2), rate // 2


def gained(x: np.ndarray, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """Times 0.1, 0.3 or 3; the last clips what is loud."""
    return np.clip(x * rng.choice([0.1, 0.3, 3.0]), -1, 1), rate


def coded(form: str, rate_up: int = 1) -> Change:
    def change(x: np.ndarray, rate: int, _: np.random.Generator) -> tuple[np.ndarray, int]:
        file = io.BytesIO()
        samples = np.clip(signal.resample_poly(x, rate_up, 1), -1, 1)
        soundfile.write(file, samples, rate * rate_up, format=form)
        file.seek(0)
        decoded, rate_read = soundfile.read(file)
        return np.asarray(decoded), int(rate_read)

    return change


def noisy(snr_db: float) -> Change:
    def change(x: np.ndarray, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        return x + rng.normal(0, x.std() * 10 ** (-snr_db / 20), len(x)), rate

    return change


def faster(share: float) -> Change:
    return lambda x, rate, _: (x, round(rate * (1 + share)))


def filtered(hz: float, kind: Literal["lowpass", "highpass"]) -> Change:
    def change(x: np.ndarray, rate: int, _: np.random.Generator) -> tuple[np.ndarray, int]:
        sos = signal.butter(4, hz, kind, fs=rate, output="sos")
        return signal.sosfilt(sos, x), rate

    return change


PLANTED: dict[str, Change] = {
    "shifted": shifted, "trimmed to half": trimmed, "resampled to 2 kHz": resampled,
    "gain changed": gained, "Ogg Vorbis": coded("OGG"), "noise at 20 dB": noisy(20),
}  # fmt: skip
HARDER: dict[str, Change] = {
    "MP3": coded("MP3", 2), "polarity turned": lambda x, rate, _: (-x, rate),
    "noise at 10 dB": noisy(10), "noise at 0 dB": noisy(0), "noise at -10 dB": noisy(-10),
    "played 0.1 % faster": faster(0.001), "played 0.5 % faster": faster(0.005),
    "played 2 % faster": faster(0.02),
    "above 150 Hz cut": filtered(150, "lowpass"), "above 80 Hz cut": filtered(80, "lowpass"),
    "below 100 Hz cut": filtered(100, "highpass"),
    "below 200 Hz cut": filtered(200, "highpass"),
}  # fmt: skip
SEGMENTS_S = (3.2, 3.5, 4.0, 5.0, 6.0)


def show_copies(root: str) -> None:
    cohort = load(root)
    paths = [Path(each) for each in cohort.recordings["path"]]
    persons = cohort.recordings["patient_id"].map(cohort.person_of).tolist()
    started = time.perf_counter()
    library = sounds(paths)
    read = time.perf_counter() - started
    found = matches(library)
    searched = time.perf_counter() - started - read
    n = len(library)
    alarms = [m for m in found if persons[m.first] != persons[m.second]]
    print(f"{n} originals: fingerprints {read:.0f} s, search {searched:.0f} s")
    print(f"matches between originals of different people: {len(alarms)}")
    print(f"matches between originals of one person: {len(found) - len(alarms)}")
    plant(library, paths, PLANTED, 200)
    plant(library, paths, HARDER, 20 * len(HARDER))
    overlapping(library, paths, 20)


def plant(library: list[Sound], paths: list[Path], changes: dict[str, Change], n: int) -> None:
    rng = np.random.default_rng(0)
    sources = rng.choice(len(paths), n, replace=False)
    names = [list(changes)[i % len(changes)] for i in range(n)]
    copies = [
        sound(*changes[name](*read_samples(paths[source]), rng))
        for name, source in zip(names, sources, strict=True)
    ]
    right, wrong = hits(matches([*library, *copies]), len(library), sources)
    print(f"{n} planted copies: found {len(right)} ({len(right) / n:.1%}), wrong {wrong}")
    for name in changes:
        mine = [i for i in range(n) if names[i] == name]
        lowest = min(right.get(i, 0.0) for i in mine)
        print(f"  {name:<22} {sum(i in right for i in mine):>3} of {len(mine)}, "
              f"lowest correlation {lowest:.2f}")  # fmt: skip


def overlapping(library: list[Sound], paths: list[Path], n: int) -> None:
    rng = np.random.default_rng(1)
    for overlap_s in SEGMENTS_S:
        sources = rng.choice(len(paths), n, replace=False)
        changed, copies = list(library), []
        for source in sources:
            x, rate = read_samples(paths[source])
            middle, half = len(x) // 2, round(overlap_s * rate / 2)
            changed[source] = sound(x[: middle + half], rate)
            copies.append(sound(x[middle - half :], rate))
        right, wrong = hits(matches([*changed, *copies]), len(library), sources)
        print(f"segments that share {overlap_s} s: {len(right)} of {n}, wrong {wrong}")


def hits(found: list[Match], n: int, sources: np.ndarray) -> tuple[dict[int, float], int]:
    """Correlation of every planted copy that was found, and the number of other matches."""
    right, wrong = {}, 0
    for match in found:
        if match.second >= n and sources[match.second - n] == match.first:
            right[match.second - n] = match.correlation
        else:
            wrong += 1
    return right, wrong


# -------------------------------------------------------------------------------- growth


def made_up(n: int) -> Cohort:
    """People of CirCor's shares, in tables alone."""
    rng = np.random.default_rng(0)
    ids = [f"p{i:06d}" for i in range(n)]
    count = rng.choice([1, 2, 3, 4, 5], n, p=(0.04, 0.16, 0.13, 0.58, 0.09))
    owners = np.repeat(ids, count)
    patients = pd.DataFrame({
        "patient_id": ids, "person_id": ids,
        "murmur": rng.choice(["Present", "Unknown", "Absent"], n, p=(0.19, 0.07, 0.74)),
        "outcome": rng.choice(["Abnormal", "Normal"], n),
        "age": rng.choice(["Child", "Infant", "Adolescent", "Neonate", ""], n,
                          p=(0.70, 0.13, 0.08, 0.01, 0.08)),
        "sex": rng.choice(["Female", "Male"], n), "campaign": rng.choice(["A", "B"], n),
    })  # fmt: skip
    recordings = pd.DataFrame({
        "recording_id": [f"r{i}" for i in range(len(owners))], "patient_id": owners, "path": "",
        "site": rng.choice(["AV", "PV", "TV", "MV"], len(owners)), "sample_rate_hz": 4000,
        "n_samples": 4000, "duration_s": 1.0, "sha256": [f"{i:x}" for i in range(len(owners))],
        "clipped_share": 0.0, "is_flat": False,
    })  # fmt: skip
    tasks = (
        Task("murmur", ("Present", "Unknown", "Absent"), "Present", (1.0,) * 3, "mean"),
        Task("outcome", ("Abnormal", "Normal"), "Abnormal", (1.0,) * 2, "mean"),
    )
    persons = pd.DataFrame({"person_id": ids})
    return Cohort("made up", tasks, persons, patients, recordings, ("age", "sex", "campaign"))


def show_growth() -> None:
    for n in (1_000, 10_000, 100_000):
        cohort = made_up(n)
        started = time.perf_counter()
        split = stratify(cohort, 5, 0, rule=SplitRule(covariates="auto"))
        seconds = time.perf_counter() - started
        ours, *_ = compare(cohort, split)
        print(f"{n:>7} persons in 5 folds: {seconds:.1f} s, classes "
              f"+{ours['label']['above_limit']:.2%}, covariates "
              f"+{ours['covariate']['above_limit']:.2%} above the limit")  # fmt: skip
    library: list[Sound] = []
    patients = draw_patients(7_000, seed=0)
    recordings = [r for patient in patients for r in patient.recordings]
    for n in (2_500, 5_000, 10_000, 20_000):
        library += [
            sound(render(r).samples.astype(np.float32), 4000) for r in recordings[len(library) : n]
        ]
        started = time.perf_counter()
        found = matches(library)
        print(f"{n:>7} recordings searched in {time.perf_counter() - started:.0f} s, "
              f"{len(found)} matches")  # fmt: skip


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["balance", root]:
            show_balance(root)
        case ["copies", root]:
            show_copies(root)
        case ["growth"]:
            show_growth()
        case _:
            sys.exit(__doc__)
