"""Reading recordings: nothing of a file is lost unseen, and odd rates cost no gigabytes."""

from __future__ import annotations

import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile
from hypothesis import example, given
from hypothesis import strategies as st

from kfold_hs.cohort.audio import (
    MAX_TAPS,
    decode_with_facts,
    n_resampled,
    read_samples,
    resampling_ratio,
)
from kfold_hs.config.schema import FeatureConfig
from kfold_hs.errors import CohortError
from kfold_hs.learn.features.bank import check_recordings
from kfold_hs.learn.features.mel import MelFeatures

N = 4001
SAMPLES = (np.random.default_rng(0).standard_normal(N) * 3000).astype(np.int16)
UNKNOWN = (0xFFFFFFFF, 0xFFFFFFDB, 0x7FFFFFFF, 0x7FFFF000, 0x80000000)
FEATURES = {
    "sample_rate_hz": 4000, "window_s": 0.05, "hop_s": 0.02, "n_fft": 512, "n_mels": 16,
    "f_min_hz": 25, "f_max_hz": 800, "normalise": "recording",
}  # fmt: skip


def file_of(kind: str = "WAV", subtype: str = "PCM_16", rate: int = 4000) -> bytearray:
    buffer = io.BytesIO()
    soundfile.write(buffer, SAMPLES, rate, format=kind, subtype=subtype)
    return bytearray(buffer.getvalue())


def decoded(content: bytes) -> np.ndarray:
    samples, facts = decode_with_facts(bytes(content), "x")
    assert facts.n_samples == len(samples)
    return np.round(samples * 32768).astype(np.int16)


def with_sizes(data: int, riff: int | None) -> bytearray:
    content = file_of()
    struct.pack_into("<I", content, content.find(b"data") + 4, data)
    if riff is not None:
        struct.pack_into("<I", content, 4, riff)
    return content


@pytest.mark.parametrize("data", [*UNKNOWN, 0])
@pytest.mark.parametrize("riff", [None, 0, 0xFFFFFFFF])
def test_a_wav_of_unknown_size_is_read_to_its_end(data: int, riff: int | None) -> None:
    np.testing.assert_array_equal(decoded(with_sizes(data, riff)), SAMPLES)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF])
def test_a_comment_about_data_is_no_data(size: int) -> None:
    content = with_sizes(size, 0)
    at = content.find(b"data")
    comment = b"INFOICMT" + struct.pack("<I", 16) + b"heart data set\0\0"
    content[at:at] = b"LIST" + struct.pack("<I", len(comment)) + comment
    np.testing.assert_array_equal(decoded(content), SAMPLES)


@pytest.mark.parametrize("missing", [1000, 1001, 7000])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "AIFF"])
def test_a_file_that_was_cut_is_refused(kind: str, missing: int) -> None:
    with pytest.raises(CohortError, match="cut short"):
        decoded(file_of(kind)[:-missing])


def test_a_cut_wav_of_unknown_size_is_known_by_the_size_of_the_file() -> None:
    with pytest.raises(CohortError, match="cut short"):
        decoded(with_sizes(0xFFFFFFFF, None)[:-1000])


@pytest.mark.parametrize("tail", [b"", b"LIST" + struct.pack("<I", 4) + b"abcd"])
def test_an_empty_wav_is_empty(tail: bytes) -> None:
    content = file_of()
    content = content[: content.find(b"data") + 4] + b"\0\0\0\0" + tail
    with pytest.raises(CohortError, match="holds no samples"):
        decoded(content)


@pytest.mark.parametrize("tail", [b"", b"xyz" * 7, b"LIST" + struct.pack("<I", 4) + b"abcd"])
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64", "FLAC", "AIFF"])
def test_what_follows_the_samples_is_none_of_them(kind: str, tail: bytes) -> None:
    np.testing.assert_array_equal(decoded(file_of(kind) + tail), SAMPLES)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("CAF", "PCM_16"), ("WAV", "IMA_ADPCM"),
     ("WAV", "MS_ADPCM"), ("W64", "PCM_16"), ("AU", "PCM_16")],
)  # fmt: skip
def test_a_length_that_cannot_be_checked_is_refused(kind: str, subtype: str) -> None:
    rate = 16_000 if kind in {"MP3", "OGG"} else 4000
    with pytest.raises(CohortError, match="samples could be lost"):
        decoded(file_of(kind, subtype, rate))


def test_a_flac_that_does_not_say_its_length_is_refused() -> None:
    content = file_of("FLAC")
    content[21] &= 0xF0
    content[22:26] = b"\0\0\0\0"
    with pytest.raises(CohortError, match=r"cannot be read as audio|does not say how many"):
        decoded(content)


@pytest.mark.parametrize("rate", [0, 1_000_001, 2**31 - 1])
def test_a_rate_that_no_device_has_is_refused(rate: int) -> None:
    content = file_of()
    struct.pack_into("<I", content, 24, rate)
    with pytest.raises(CohortError, match=r"sample rate|cannot be read"):
        decoded(content)


@given(st.integers(100, 1_000_000), st.sampled_from([1000, 2000, 4000, 8000]))
@example(12_002, 4000)
@example(8003, 8000)
def test_a_ratio_is_small_and_near(rate_hz: int, wanted_hz: int) -> None:
    ratio = resampling_ratio(rate_hz, wanted_hz)
    assert ratio.numerator * ratio.denominator <= MAX_TAPS
    assert abs(float(ratio) * rate_hz / wanted_hz - 1) < 4e-4
    for usual in (2000, 4000, 8000, 11_025, 22_050, 44_100, 48_000, 96_000, 192_000):
        assert resampling_ratio(usual, wanted_hz) * usual == wanted_hz


@pytest.mark.parametrize("rate_hz", [44_099, 191_999, 3_999])
def test_an_odd_rate_costs_little_and_keeps_the_pitch(rate_hz: int) -> None:
    config = FeatureConfig(**FEATURES)
    tone = np.sin(2 * np.pi * 300 * np.arange(2 * rate_hz) / rate_hz).astype(np.float32)
    tracemalloc.start()
    wave = MelFeatures(config).prepare(tone, rate_hz).numpy()
    features = MelFeatures(config)(tone, rate_hz)
    tracemalloc.stop()
    assert len(wave) == n_resampled(len(tone), rate_hz, 4000)
    assert len(features) == MelFeatures(config).n_frames(len(tone), rate_hz)
    spectrum = np.abs(np.fft.rfft(wave[:8000] * np.hanning(min(8000, len(wave)))))
    assert abs(spectrum.argmax() / 2 - 300) <= 0.5


@pytest.mark.parametrize("n_fft", [256, 512, 1024])
@pytest.mark.parametrize("extra", [{}, {"band_pass_hz": (25.0, 400.0)}, {"remove_spikes": True}])
@pytest.mark.parametrize("rate_hz", [4000, 8000, 44_100])
def test_the_shortest_recording_is_the_one_that_features_take(
    n_fft: int, extra: dict[str, object], rate_hz: int
) -> None:
    config = FeatureConfig(**{**FEATURES, "n_fft": n_fft, **extra})
    features = MelFeatures(config)
    least = next(
        n for n in range(100, 10_000) if n_resampled(n, rate_hz, 4000) >= config.least_samples
    )
    noise = np.random.default_rng(0).standard_normal(least).astype(np.float32)
    assert np.isfinite(features(noise, rate_hz)).all()
    row = {"path": ["x.wav"], "sample_rate_hz": [rate_hz]}
    check_recordings(pd.DataFrame({**row, "n_samples": [least]}), config)
    with pytest.raises(CohortError, match="shorter than"):
        check_recordings(pd.DataFrame({**row, "n_samples": [least - 1]}), config)


def test_a_file_is_told_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "recording.wav"
    path.write_bytes(file_of("FLAC"))
    assert len(read_samples(path)[0]) == N


@pytest.mark.parametrize("name", ["recording.raw", "recording.RAW", "recording", "recording.txt"])
def test_a_name_says_nothing_of_the_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(file_of())
    assert len(read_samples(tmp_path / name)[0]) == N
    (tmp_path / name).write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(CohortError, match="cannot be read as audio"):
        read_samples(tmp_path / name)


@pytest.mark.parametrize("scale", [1e10, 1e30, -1e37])
def test_samples_whose_power_is_no_number_are_refused(scale: float) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, SAMPLES / 32768 * scale, 4000, format="WAV", subtype="FLOAT")
    with pytest.raises(CohortError, match="Full scale is 1"):
        decode_with_facts(buffer.getvalue(), "x")
