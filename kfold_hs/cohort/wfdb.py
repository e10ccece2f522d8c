"""Headers of PhysioNet's WFDB format (`.hea`) and the audio beside them.

    record line   name[/segments] signals [rate[/counter[(base)]] [samples [time [date]]]]
    signal lines  file format[xSPF][:skew][+offset] [gain[(baseline)][/units] [bits [zero [first
                  [checksum [block [description]]]]]]]
    # comments, anywhere

(https://physionet.org/physiotools/wag/header-5.htm.) Only the phonocardiogram is read: the signal
whose file is audio, or whose description says so. Other signals, such as an ECG in a `.dat`, are
not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from kfold_hs.cohort.csv_file import read_text
from kfold_hs.cohort.ids import clean_name, find_file
from kfold_hs.cohort.values import number
from kfold_hs.errors import CohortError

_AUDIO = (".wav", ".flac")
_PCG = re.compile(r"\b(pcg|phonocardiogra\w*|heart.?sounds?)\b", re.IGNORECASE)
_FORMAT = re.compile(r"(\d+)(x(?P<per_frame>\d+))?(:\d+)?(\+\d+)?")


@dataclass(frozen=True)
class Header:
    """What a header says about its phonocardiogram.

    Parameters
    ----------
    file : str
        Name of its file, as in the header; "" where the header lists no signal.
    rate_hz, n_samples : int, optional
        None where the header does not say. (WFDB then takes 250 Hz; the audio has its own rate.)
    """

    file: str
    rate_hz: int | None
    n_samples: int | None


def read_header(path: Path) -> Header:
    """The phonocardiogram that a header describes.

    Raises
    ------
    CohortError
        The file is missing or no header, or several of its signals may be the phonocardiogram.
    """
    if not path.is_file():
        raise CohortError(f"{path} is missing.")
    text, _ = read_text(path)
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    try:
        words = lines[0].split()
        _, _, n_segments = words[0].partition("/")
        if n_segments:
            raise ValueError(f"the record has {n_segments} segments, but one is allowed")
        n_signals = _whole(words[1], "number of signals")
        rate = _whole(words[2].split("/")[0], "rate") if len(words) > 2 else None
        n_samples = _whole(words[3], "number of samples") if len(words) > 3 else None
        if (rate is not None and rate < 1) or (n_samples or 0) < 0 or n_signals < 1:
            raise ValueError(f"the line {lines[0]!r:.80} names no signal")
        signals = [line.split(maxsplit=8) for line in lines[1:]]
        if signals and len(signals) != n_signals:
            raise ValueError(f"it describes {len(signals)} of {n_signals} signals")
        signal = _phonocardiogram(signals) if signals or n_signals > 1 else None
        per_frame = _per_frame(signal)
    except (ValueError, IndexError) as error:
        reason = "its first line is not a name and a number of signals"
        reason = str(error) if isinstance(error, ValueError) else reason
        raise CohortError(f"{path} is not the header of a phonocardiogram: {reason}.") from error
    file = signal[0] if signal else ""
    # 0 samples: not known, as WFDB has it
    return Header(
        file, rate * per_frame if rate else None, n_samples * per_frame if n_samples else None
    )


def _whole(word: str, what: str) -> int:
    found = number(word)
    if found is None or found != int(found):
        raise ValueError(f"its {what} is {word!r:.80}, not a whole number")
    return int(found)


def _phonocardiogram(signals: list[list[str]]) -> list[str]:
    """The words of its line: file, format, ..., description."""
    if not signals:
        raise ValueError("it lists several signals, but describes none")
    if len(signals) == 1:
        return signals[0]
    described = [each for each in signals if len(each) > 8 and _PCG.search(each[8])]
    audio = [each for each in signals if Path(each[0]).suffix.lower() in _AUDIO]
    for candidates in (described, audio):
        if len(candidates) == 1:
            return candidates[0]
    names = ", ".join(each[8] if len(each) > 8 else each[0] for each in signals)
    raise ValueError(f"several of its signals may be the phonocardiogram: {names:.80}")


def _per_frame(signal: list[str] | None) -> int:
    """Samples of the signal in each frame of the record; its rate is that many times higher."""
    if signal is None or len(signal) < 2:
        return 1
    found = _FORMAT.fullmatch(signal[1])
    if found is None:
        raise ValueError(f"the format {signal[1]!r:.80} of {signal[0]} is not a WFDB format")
    return int(found["per_frame"] or 1)


def audio_path(folder: Path, stem: str) -> Path:
    """The recording's WAV, or its FLAC where there is no WAV; the suffix may be in capitals."""
    for suffix in (".wav", ".WAV", ".Wav", ".flac", ".FLAC", ".Flac"):
        if (found := find_file(folder, f"{stem}{suffix}")).is_file():
            return found
    return folder / f"{stem}.wav"


def audio_of(folder: Path, stem: str, header: Header | None) -> Path:
    """The recording called `stem`, or the audio file that its header names instead.

    Raises
    ------
    CohortError
        Both exist.
    """
    own = audio_path(folder, stem)
    if header is None or Path(header.file).suffix.lower() not in _AUDIO:
        return own
    other = find_file(folder, header.file)
    if clean_name(other.stem) == clean_name(stem) or not other.is_file():
        return own
    if own.is_file():
        raise CohortError(
            f"{folder / stem}.hea names {other.name}, but {own.name} exists, too. Correct the "
            "header, or remove the file that is not the phonocardiogram."
        )
    return other


def header_path(folder: Path, stem: str) -> Path:
    """The recording's header, in small letters or capitals."""
    small, capital = folder / f"{stem}.hea", folder / f"{stem}.HEA"
    return capital if capital.is_file() and not small.is_file() else small
