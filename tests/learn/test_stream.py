"""A bank larger than the memory: read ahead by a thread, with the same crops."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.training import fit

from kfold_hs.cohort import Cohort
from kfold_hs.learn.ahead import ahead
from kfold_hs.learn.device import room_on
from kfold_hs.learn.features import bank as banks


def test_things_are_made_before_they_are_asked_for() -> None:
    makers, made = set(), [threading.Event() for _ in range(4)]

    def numbers() -> Iterator[int]:
        for i, event in enumerate(made):
            makers.add(threading.current_thread().name)
            event.set()
            yield i

    taken = ahead(numbers(), n=2)
    assert next(taken) == 0
    assert made[1].wait(10)
    assert made[2].wait(10)
    assert list(taken) == [1, 2, 3]
    assert threading.current_thread().name not in makers


def test_an_error_in_the_making_comes_up_where_it_would_have_been_taken() -> None:
    def numbers() -> Iterator[int]:
        yield 0
        raise OSError("the disk is gone")

    taken = ahead(numbers())
    assert next(taken) == 0
    with pytest.raises(OSError, match="the disk is gone"):
        next(taken)


def test_making_ends_with_the_taking() -> None:
    made = []
    taken = ahead((made.append(i) for i in itertools.count()), n=3)
    next(taken)
    taken.close()  # type: ignore[attr-defined]
    assert len(made) <= 4


def test_a_bank_larger_than_the_memory_gives_the_same_training(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ["augment.stretch=0.1", "train.accumulate=2"]
    _, resident = fit(cohort, tmp_path / "resident", *words)
    readers = set()
    read = banks.Bank._read

    def watched(self: banks.Bank, *inputs: object) -> object:
        readers.add(threading.current_thread().name)
        return read(self, *inputs)  # type: ignore[arg-type]

    monkeypatch.setattr(banks.Bank, "_read", watched)
    monkeypatch.setattr(banks, "room_on", lambda device: 1000)
    _, streamed = fit(cohort, tmp_path / "streamed", *words)
    assert streamed.table.equals(resident.table)
    assert readers
    assert all(name.startswith("ahead") for name in readers)


def test_there_is_some_memory_and_no_more_than_the_machine_has() -> None:
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < room_on(torch.device("cpu")) <= there
