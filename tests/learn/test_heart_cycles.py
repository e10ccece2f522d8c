"""Crops that start at an S1: reading what is marked, drawing from it, and a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.project import TINY, Silent, write_table

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.cohort.segmentation import (
    read_segmentation,
    segmentations_of,
    with_segmentation_note,
)
from kfold_hs.config.compose import compose
from kfold_hs.errors import CohortError
from kfold_hs.learn.data.crops import Source
from kfold_hs.learn.data.heart_cycles import Cycles
from kfold_hs.learn.features.bank import Bank, build
from kfold_hs.workflows.cross_validation import run
from kfold_hs.workflows.options import RunOptions

ALIGN = "train.align=cycle train.align=none", "their crops start anywhere"


def write(folder: Path, text: str) -> Path:
    (folder / "a.tsv").write_text(text)
    return folder / "a.wav"


def test_onsets_survive_the_blemishes_of_real_files(tmp_path: Path) -> None:
    rows = "0\t0.5\t0\r\n0.5\t0.6\t1\r\n0.55\t0.9\t2\n1.4\t1.4\t1\n1.41\t1.5\t1\n\n9\t9.1\t1\n"
    found = read_segmentation(write(tmp_path, rows), 2.0)
    np.testing.assert_array_equal(found.s1_onsets, [0.5, 1.41])
    assert len(read_segmentation(write(tmp_path, "0 0 28\n"), 2.0).s1_onsets) == 0
    assert len(read_segmentation(tmp_path / "b.wav", 2.0).s1_onsets) == 0
    with pytest.raises(CohortError, match=r"a\.tsv, line 2: '0\.5 S1'.*remove the file"):
        read_segmentation(write(tmp_path, "0 0.5 0\n0.5 S1\n"), 2.0)


def test_no_segmentation_is_an_error_and_some_are_counted(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    cohort = read_cohort(compose([*TINY, f"data.path={path}"]).data)
    with pytest.raises(CohortError, match=r"none of the 32 recordings.*align=none.*p0_0\.tsv"):
        with_segmentation_note(cohort, *ALIGN)
    (tmp_path / "p3_1.tsv").write_text("0.2\t0.3\t1\n")
    noted = with_segmentation_note(cohort, *ALIGN)
    note = noted.notes[-1]
    assert (note.name, note.count) == ("recordings without a segmentation", 31)
    assert len(note.items) == 31
    assert noted.fingerprint == cohort.fingerprint


def test_every_fitting_onset_is_drawn_equally_often() -> None:
    # Recording 0 has onsets at 3, 40, 95; 1 has none; 2 is shorter than a crop; 3 too late.
    cycles = Cycles(
        torch.tensor([3, 40, 95, 7, 20, 99]),
        torch.tensor([0, 0, 0, 2, 2, 3]),
        torch.tensor([0, 3, 3, 5]),
    )
    length = torch.tensor([120, 100, 30, 110])
    bank = Bank(torch.zeros(1, 1), torch.zeros(4, dtype=torch.long), length, "digest")
    source = Source(bank, cycles)
    draw = torch.arange(1000).double().view(2, 500) / 1000
    for row, expected in ((0, {3: 500, 40: 500}), (2, {7: 500, 20: 500})):
        starts = source.starts(torch.full((2, 500), row), 50, draw)
        values, counts = starts.unique(return_counts=True)
        assert dict(zip(values.tolist(), counts.tolist(), strict=True)) == expected
    for row in (1, 3):  # as without alignment
        rows = torch.full((2, 500), row)
        assert torch.equal(source.starts(rows, 50, draw), Source(bank).starts(rows, 50, draw))
    assert int(source.starts(torch.tensor([0]), 20, torch.tensor([0.999]))) == 95  # a shorter crop


def test_marked_onsets_are_where_the_sound_begins(circor_wav: Path) -> None:
    """Frames at the onsets of real recordings hold less than those just after them."""
    config = compose(
        ["data=circor", f"data.root={circor_wav}", "train.align=cycle", "features=logmel"]
    )
    cohort = read_cohort(config.data)
    assert all(len(each.s1_onsets) for each in segmentations_of(cohort))
    cycles = Cycles.of(cohort, config.features, torch.device("cpu"))
    bank = build(cohort, config.features)
    loudness = bank.frames[:, :12].float().mean(dim=1)
    at = bank.first[cycles.owner] + cycles.onsets
    inside = at + 4 < len(loudness)
    rise = loudness[at[inside] + 3] - loudness[at[inside] - 2]
    assert float(rise.median()) > 0.5
    assert float((rise > 0).float().mean()) > 0.8


def test_an_aligned_run_notes_and_stamps(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    words = [*TINY, f"data.path={path}", "train.align=cycle", "split.audit=false", "track=[]"]
    for i in range(14):
        (tmp_path / f"p{i}_0.tsv").write_text("".join(f"{t}\t{t + 0.1}\t1\n" for t in (0.1, 0.5)))
    listener = Silent()
    result = run(compose(words), listener, RunOptions(root=tmp_path))
    assert any(note.startswith("18 recordings without a segmentation") for note in listener.notes)
    assert "cycles" in result.summary.provenance.digests
    notes = {note["name"]: note["count"] for note in result.summary.to_json()["cohort"]["notes"]}
    assert notes["recordings without a segmentation"] == 18
