"""Inference on the CPU, several pieces at once, each with one thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from support.project import TINY

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.learn.device import threads
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.models.network import make_model
from kfold_hs.learn.prediction.crops import Crops, Predictor
from kfold_hs.learn.side_by_side import several_ahead, side_by_side

CPU = torch.device("cpu")
# Lite0 divides the work of 7 crops of this size differently among 1, 2 and 3 threads.
N_CROPS, SIZE = 7, (1, 64, 256)


def test_what_comes_out_does_not_depend_on_the_number_of_threads() -> None:
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", in_chans=1, num_classes=2).eval()
    network = network.to(memory_format=torch.channels_last)
    pieces = [
        torch.randn(N_CROPS, *SIZE).contiguous(memory_format=torch.channels_last) for _ in range(4)
    ]
    found = {}
    for n in (1, 2, 3):
        with threads(n):
            found[n] = torch.stack(list(side_by_side(network, pieces, CPU)))
    with threads(3), torch.inference_mode():
        together = torch.stack([network(each) for each in pieces])
    assert torch.equal(found[1], found[2])
    assert torch.equal(found[1], found[3])
    torch.testing.assert_close(found[1], together, atol=1e-2, rtol=1e-3)


def test_a_predictor_says_the_same_with_any_number_of_threads(shared_table_csv: Path) -> None:
    words = [*TINY, f"data.path={shared_table_csv}", "predict.batch_size=3"]
    config = compose([*words, "model.backbone=tf_efficientnet_lite0"])
    cohort = read_cohort(config.data)
    bank = banks.build(cohort, config.features)
    model = make_model(config.model, cohort.tasks, 3)
    predictor, rows = Predictor(model, bank, config), np.arange(8)
    assert len(Crops.of(bank, rows, config).rows) > 6  # several batches
    found = []
    for n in (1, 3):
        with threads(n):
            found.append(predictor.of_recordings(rows, cohort.tasks)[0])
    for task in cohort.tasks:
        np.testing.assert_array_equal(found[0][task.name], found[1][task.name])


def test_several_pieces_are_under_way_at_once_and_come_out_in_order() -> None:
    both = threading.Barrier(2, timeout=60)

    def meet(piece: int) -> int:
        assert torch.is_inference_mode_enabled()
        assert torch.get_num_threads() == 1
        both.wait()  # goes on only if another piece is under way
        return piece

    with threads(2):
        assert list(side_by_side(meet, range(8), CPU)) == list(range(8))


def test_other_threads_compute_with_as_many_as_before() -> None:
    with threads(3):
        list(side_by_side(lambda piece: piece, range(4), CPU))
        assert torch.get_num_threads() == 3
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(torch.get_num_threads).result() == 3


def test_an_error_ends_it_and_what_waits_is_not_begun() -> None:
    begun = []

    def fail(piece: int) -> None:
        begun.append(piece)
        raise ValueError(f"piece {piece}")

    with threads(2), pytest.raises(ValueError, match="piece 0"):
        list(side_by_side(fail, range(100), CPU))
    assert len(begun) < 10


def test_pieces_are_taken_up_a_few_ahead() -> None:
    taken = []

    def pieces() -> Iterator[int]:
        for k in range(50):
            taken.append(k)
            yield k

    with ThreadPoolExecutor(1) as pool:
        results = several_ahead(pool, abs, pieces(), 3)
        assert next(results) == 0
        assert len(taken) == 4
        assert list(results) == list(range(1, 50))


def test_of_one_thread_or_of_a_gpu_they_come_one_after_another() -> None:
    def where(piece: int) -> str:
        return threading.current_thread().name

    here = threading.current_thread().name
    with threads(1):
        assert set(side_by_side(where, range(3), CPU)) == {here}
    with threads(2):
        assert set(side_by_side(where, range(3), torch.device("cuda"))) == {here}
