"""The people of the synthetic cohort: covariates, hearts, labels and recordings.

A person's draws depend on (seed, number of the person) alone, so that a smaller cohort
is the beginning of a larger one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from typing import Any

import numpy as np

from kfold_hs.cohort.synthetic.phonocardiogram import (
    Heart,
    Murmur,
    Phonocardiogram,
    Room,
    Sensor,
    phonocardiogram,
)

SITES = ("AV", "PV", "TV", "MV")
# Share of the persons; youngest and oldest age in years, heart rate at both ends (rounded
# from Fleming et al., Lancet 377, 2011).
_AGES = {
    "Neonate": (0.02, 0.0, 0.08, 140, 130),
    "Infant": (0.14, 0.08, 1.0, 135, 120),
    "Child": (0.74, 1.0, 11.0, 115, 82),
    "Adolescent": (0.10, 11.0, 18.0, 82, 72),
}
# Level of S1, level of S2, P2 relative to A2: S1 is louder towards the apex, S2 at the base.
_SITE_SOUNDS = {"AV": (0.7, 1.0, 0.4), "PV": (0.7, 0.9, 0.7), "TV": (1.0, 0.7, 0.4)}
_SITE_SOUNDS["MV"] = (1.1, 0.6, 0.25)
# A lesion's share of the murmurs, its timing and shape, and its level at the sites, in dB.
_LESIONS = {
    "PV": (0.33, {"AV": -5, "PV": 0, "TV": -5, "MV": -10}),
    "TV": (0.33, {"AV": -8, "PV": -4, "TV": 0, "MV": -4}),
    "MV": (0.26, {"AV": -8, "PV": -9, "TV": -4, "MV": 0}),
    "AV": (0.08, {"AV": 0, "PV": -4, "TV": -7, "MV": -6}),
}
_GRADES = {"I": (0.50, 0.075), "II": (0.25, 0.14), "III": (0.25, 0.26)}
"""Share and level (see `Murmur`) at the lesion's own site."""
_AUDIBLE = 0.035
"""Level below which a murmur gets no label, though it is in the sound."""
_ABNORMAL = {"Present": 0.84, "Unknown": 0.63, "Absent": 0.38}
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Recording:
    """One recording with everything that `render` needs to make its sound.

    `murmur` is the murmur in the sound, `murmur_at_site` is the label in the table. The two
    differ where the murmur is too faint, or the room too loud, to be noticed.
    """

    recording_id: str
    site: str
    murmur_at_site: str
    grade: str
    heart: Heart
    murmur: Murmur | None
    sensor: Sensor
    duration_s: float
    stream: tuple[int, ...]


@dataclass(frozen=True)
class Patient:
    """One entry in the table of labels, with its recordings."""

    patient_id: str
    person_id: str
    murmur: str
    outcome: str
    covariates: dict[str, str]
    recordings: tuple[Recording, ...]


@dataclass(frozen=True)
class _Lesion:
    site: str
    timing: str
    shape: str
    pitch: str
    grade: str
    level: float


@dataclass(frozen=True)
class _Person:
    """The properties of a person that do not change between visits."""

    covariates: dict[str, str]
    heart: Heart
    lesion: _Lesion | None
    outcome: str
    cutoff_hz: float


def draw_patients(n_patients: int, seed: int) -> list[Patient]:
    """The first `n_patients` of the endless row of patients that belongs to `seed`."""
    return list(islice((p for i in count() for p in _visits(seed, i)), n_patients))


def render(recording: Recording) -> Phonocardiogram:
    """The samples of a recording, and its true beat times; the same at every call."""
    r = recording
    rng = np.random.default_rng(r.stream)
    return phonocardiogram(r.heart, r.murmur, r.sensor, r.duration_s, rng)


def _visits(seed: int, i: int) -> Iterator[Patient]:
    """The one or two patient ids of person `i`, from a stream of their own."""
    rng = np.random.default_rng((seed, i))
    # A golden-ratio sequence instead of independent draws: any run of persons, however
    # short, holds the shares of Present, Unknown and Absent as nearly as it can.
    place = (float(np.random.default_rng(seed).uniform()) + i * _GOLDEN) % 1
    murmur = "Present" if place < 0.20 else "Unknown" if place < 0.28 else "Absent"
    person = _person(murmur, rng)
    campaigns = [str(rng.choice(("CC2014", "CC2015"), p=(0.4, 0.6)))]
    if rng.uniform() < 0.07:
        campaigns = ["CC2014", "CC2015"]
    for k, campaign in enumerate(campaigns):
        yield _visit(person, murmur, campaign, (seed, i, k), rng)
        # Between the two, most keep their labels: a few murmurs go, some outcomes turn.
        if rng.uniform() < 0.15:
            murmur = "Absent"
            person = replace(person, lesion=None)
        if rng.uniform() < 0.10:
            turned = "Normal" if person.outcome == "Abnormal" else "Abnormal"
            person = replace(person, outcome=turned)


def _pick(options: dict[str, tuple[Any, ...]], rng: np.random.Generator) -> str:
    """A key, with the share that stands first in its row."""
    return str(rng.choice(list(options), p=[row[0] for row in options.values()]))


def _person(murmur: str, rng: np.random.Generator) -> _Person:
    age = _pick(_AGES, rng)
    _, youngest, oldest, fast, slow = _AGES[age]
    part = rng.uniform()
    years = youngest + (oldest - youngest) * part
    height = float(
        (50 + 25 * min(years, 1) + 6.2 * max(years - 1, 0)) * np.exp(rng.normal(0, 0.05))
    )
    weight = float(
        (3.3 + 6.5 * min(years, 1) + 2.9 * max(years - 1, 0)) * np.exp(rng.normal(0, 0.15))
    )
    age_known, height_known, weight_known = rng.uniform(size=3) > (0.08, 0.05, 0.05)
    covariates = {
        "age": age if age_known else "",
        "sex": str(rng.choice(("Female", "Male"))),
        "height_cm": f"{height:.1f}" if height_known else "",
        "weight_kg": f"{weight:.1f}" if weight_known else "",
    }
    outcome = "Abnormal" if rng.uniform() < _ABNORMAL[murmur] else "Normal"
    has_lesion = murmur == "Present" or (murmur == "Unknown" and rng.uniform() < 0.4)
    heart = _heart(fast + (slow - fast) * part, outcome, rng)
    lesion = _lesion(outcome, rng) if has_lesion else None
    return _Person(covariates, heart, lesion, outcome, float(rng.uniform(150, 350)))


def _heart(rate_bpm: float, outcome: str, rng: np.random.Generator) -> Heart:
    """A heart whose sounds hint at the outcome: half of the abnormal ones, few normal ones."""
    sick = rng.uniform() < (0.5 if outcome == "Abnormal" else 0.1)
    sign = str(rng.choice(("split", "gallop", "rate"))) if sick else ""
    # A third sound is innocent in many children, and then as loud as in some gallops.
    innocent_s3 = rng.uniform(0.1, 0.4) if rng.uniform() < 0.25 else 0.0
    s3, s4 = rng.uniform(0.25, 0.55), rng.choice((0.0, 0.3))
    return Heart(
        rate_bpm=rate_bpm * np.exp(rng.normal(0, 0.10)) * (1.25 if sign == "rate" else 1),
        sinus_arrhythmia=rng.uniform(0.02, 0.12),
        variability=rng.uniform(0.005, 0.02),
        breath_bpm=rate_bpm / 4 * rng.uniform(0.85, 1.15),
        s1_level=1.0,
        s2_level=np.exp(rng.normal(0, 0.2)),
        s3_level=s3 if sign == "gallop" else innocent_s3,
        s4_level=s4 if sign == "gallop" else 0.0,
        s1_hz=rng.uniform(38, 60),
        s2_hz=rng.uniform(55, 85),
        split_s=rng.uniform(0.04, 0.06) if sign == "split" else rng.uniform(0.0, 0.02),
        split_swing_s=0.004 if sign == "split" else rng.uniform(0.015, 0.035),
        p2_share=np.exp(rng.normal(0, 0.15)) * (1.6 if sign == "split" else 1),
    )


def _lesion(outcome: str, rng: np.random.Generator) -> _Lesion:
    site = _pick(_LESIONS, rng)
    # An innocent murmur is soft, early or amid systole (Still, 1909).
    innocent = outcome == "Normal"
    grade = "I" if innocent else _pick(_GRADES, rng)
    if innocent:
        timing, pitch = str(rng.choice(("Early-systolic", "Mid-systolic"))), "Low"
        shape = str(rng.choice(("Diamond", "Decrescendo")))
    elif rng.uniform() < 0.04:
        timing, shape, pitch = "Early-diastolic", "Decrescendo", "High"
    else:
        timings = ("Holosystolic", "Early-systolic", "Mid-systolic", "Late-systolic")
        timing = str(rng.choice(timings, p=(0.55, 0.30, 0.12, 0.03)))
        shape = {"Late-systolic": "Crescendo", "Mid-systolic": "Diamond"}.get(timing, "Plateau")
        if timing == "Early-systolic":
            shape = str(rng.choice(("Plateau", "Decrescendo", "Diamond")))
        pitch = str(rng.choice(("Low", "Medium", "High"), p=(0.4, 0.3, 0.3)))
    level = _GRADES[grade][1] * np.exp(rng.normal(0, 0.25))
    return _Lesion(site, timing, shape, pitch, grade, float(level))


def _visit(
    person: _Person, murmur: str, campaign: str, key: tuple[int, ...], rng: np.random.Generator
) -> Patient:
    _, i, k = key
    # Numbers in a scrambled order (200003 is prime), so that two ids of one person are no
    # neighbours and the person is to be read from `person_id` alone.
    patient_id = f"{(2 * i + k + 1) * 39119 % 200_003:06d}"
    n_sites = int(rng.choice((1, 2, 3, 4), p=(0.10, 0.10, 0.15, 0.65)))
    sites = sorted(rng.choice(SITES, size=n_sites, replace=False), key=SITES.index)
    names = [str(site) for site in sites]
    if rng.uniform() < 0.06:
        twice = str(rng.choice(names))
        names = [
            site
            for name in names
            for site in ((f"{name}_1", f"{name}_2") if name == twice else (name,))
        ]
    levels = dict.fromkeys(names, 0.0)
    if person.lesion is not None:
        loss_db = _LESIONS[person.lesion.site][1]
        levels = {
            name: person.lesion.level * 10 ** (loss_db[name[:2]] / 20) * np.exp(rng.normal(0, 0.25))
            for name in names
        }
        # A patient labelled Present has an audible murmur at one site.
        loudest = max(levels, key=levels.__getitem__)
        levels[loudest] = max(levels[loudest], _AUDIBLE)
    loudness = np.exp(rng.normal(0, 0.45)) * (6 if murmur == "Unknown" else 1)
    cries = rng.choice((0.01, 0.25), p=(0.4, 0.6) if murmur == "Unknown" else (0.85, 0.15))
    recordings = tuple(
        Recording(
            recording_id=f"{patient_id}_{name}",
            site=name[:2],
            murmur_at_site="Present"
            if murmur == "Present" and level >= _AUDIBLE
            else ("Unknown" if murmur == "Unknown" else "Absent"),
            grade=person.lesion.grade if person.lesion else "",
            heart=_at_site(person.heart, name[:2], rng),
            murmur=_murmur(person.lesion, level),
            sensor=Sensor(_room(float(loudness), float(cries), rng), person.cutoff_hz, _gain(rng)),
            duration_s=round(float(rng.uniform(8, 12)), 2),
            # Ends in no 0: numpy pads seeds with zeros, and (seed, i) is the stream of the person.
            stream=(*key[:2], k + 1, n + 1),
        )
        for n, (name, level) in enumerate(levels.items())
    )
    person_id = f"person-{i:06d}"
    covariates = {**person.covariates, "campaign": campaign}
    return Patient(patient_id, person_id, murmur, person.outcome, covariates, recordings)


def _murmur(lesion: _Lesion | None, level: float) -> Murmur | None:
    return Murmur(lesion.timing, lesion.shape, lesion.pitch, level) if lesion else None


def _at_site(heart: Heart, site: str, rng: np.random.Generator) -> Heart:
    s1, s2, p2 = _SITE_SOUNDS[site]
    return replace(
        heart,
        rate_bpm=heart.rate_bpm * np.exp(rng.normal(0, 0.04)),
        s1_level=heart.s1_level * s1 * np.exp(rng.normal(0, 0.15)),
        s2_level=heart.s2_level * s2 * np.exp(rng.normal(0, 0.15)),
        p2_share=heart.p2_share * p2,
    )


def _room(loudness: float, cries: float, rng: np.random.Generator) -> Room:
    def level(middle: float, spread: float) -> float:
        return loudness * middle * float(np.exp(rng.normal(0, spread)))

    return Room(
        floor=level(0.02, 0.3),
        tilt=rng.uniform(0.3, 1.2),
        hum=level(0.003, 1.0),
        breath=level(0.04, 0.7),
        rubs=rng.uniform(0, 0.6),
        rub_level=level(0.07, 0.5),
        cries=cries,
        cry_level=level(0.1, 0.6),
        knocks=rng.uniform(0, 0.5),
        knock_level=level(0.2, 0.6),
    )


def _gain(rng: np.random.Generator) -> float:
    """One recording in twenty is turned up until it clips."""
    return float(0.25 * np.exp(rng.normal(0, 0.5)) * (8 if rng.uniform() < 0.05 else 1))
