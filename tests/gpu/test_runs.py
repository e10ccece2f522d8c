"""Runs on a GPU: precision, resuming, several folds at once, memory, predicting, the doctor."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
import torch
from support.gpu_runs import apart, killed_and_resumed, run, within_noise
from support.on_device import fold_on, state
from support.project import TINY, kfold_hs
from support.training import config

from kfold_hs.cohort import Cohort
from kfold_hs.learn.device import autocast, exactness
from kfold_hs.learn.training.epoch import train_epoch
from kfold_hs.learn.training.setup import Training

pytestmark = pytest.mark.gpu
Figure = Callable[..., None]
BUILT_IN = ["data=synthetic", "data.n_patients=100", "--folds", "2", "train.epochs=12"]
EXACT = "train.deterministic=true"
MIB = 2**20
ROOT = Path(__file__).parent.parent.parent


def test_the_doctor_names_the_card(cuda: torch.device, tmp_path: Path) -> None:
    done = kfold_hs("doctor", cwd=tmp_path)
    assert done.returncode == 0
    assert f"cuda:0 {torch.cuda.get_device_name(0)}" in done.stdout


def test_bfloat16_scores_as_float32_does(
    device: torch.device, tmp_path: Path, figure: Figure
) -> None:
    """The same seeds: splits, weights and crops are the same, and the number format is not."""
    scores: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for seed in range(3):
        for precision, found in scores.items():
            words = [f"seed={seed}", f"train.precision={precision}"]
            done = run(tmp_path / f"{precision}{seed}", device.type, *BUILT_IN, *words)
            found.append(done.auroc("murmur"))
    figure(float32_AUROC=statistics.mean(scores["float32"]))
    figure(bfloat16_AUROC=statistics.mean(scores["bfloat16"]))
    within_noise(scores["bfloat16"], scores["float32"])
    assert min(map(min, scores.values())) > 0.7, f"something is learnt: {scores}"


def test_the_same_bits_again_and_after_a_kill(
    device: torch.device, shared_table_csv: Path, tmp_path: Path
) -> None:
    words = [*TINY, f"data.path={shared_table_csv}", EXACT, "model.dropout=0.3"]
    whole = run(tmp_path / "whole", device.type, *words)
    assert apart(run(tmp_path / "again", device.type, *words), whole) == 0
    assert apart(killed_and_resumed(tmp_path / "killed", device.type, 6, *words), whole) == 0


IN_ONE_PROCESS = """
import sys
from pathlib import Path
import torch
from support.on_device import trained
from support.project import TINY, write_table
from support.training import config
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
path, device = write_table(Path.cwd()), torch.device(sys.argv[1])
cohort = read_cohort(compose([*TINY, f"data.path={path}"]).data)
for exact in ("false", "true"):
    trained(cohort, config(f"train.deterministic={exact}", "track=[]"), device)
"""


def test_exact_after_inexact_in_one_process(device: torch.device, tmp_path: Path) -> None:
    """As variants of a comparison are: torch reads CUBLAS_WORKSPACE_CONFIG once a process."""
    environment = {k: v for k, v in os.environ.items() if k != "CUBLAS_WORKSPACE_CONFIG"}
    place = [str(ROOT), str(ROOT / "tests")]
    environment |= {"PYTHONPATH": os.pathsep.join(place), "KFOLD_HS_TEST_DEVICE": "cpu"}
    command = [sys.executable, "-c", IN_ONE_PROCESS, device.type]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-1500:]


@pytest.mark.parametrize("backend", ["eager", "cuda_graphs"])
def test_how_far_apart_without_deterministic_algorithms(
    cuda: torch.device, shared_table_csv: Path, tmp_path: Path, figure: Figure, backend: str
) -> None:
    words = [*TINY, f"data.path={shared_table_csv}", f"train.backend={backend}"]
    whole = run(tmp_path / "whole", "cuda", *words)
    again = apart(run(tmp_path / "again", "cuda", *words), whole)
    resumed = apart(killed_and_resumed(tmp_path / "killed", "cuda", 6, *words), whole)
    figure(again=again, resumed=resumed)
    assert resumed <= max(10 * again, 0.01)


def test_five_folds_at_once(device: torch.device, tmp_path: Path, figure: Figure) -> None:
    words = ["data=synthetic", "data.n_patients=100", "--folds", "5", "train.epochs=2", EXACT]
    one = run(tmp_path / "one", device.type, *words)
    five = run(tmp_path / "five", device.type, *words, "--jobs", "5")
    figure(one_after_another_s=one.seconds, at_once_s=five.seconds)
    assert apart(five, one) == 0


def epochs(cohort: Cohort, device: torch.device, *words: str) -> Iterator[int]:
    """The peak of the GPU's memory, in bytes above what was held before, an epoch at a time."""
    before = torch.cuda.memory_allocated(device)
    fold = fold_on(cohort, config("track=[]", *words), device)
    with exactness(fold.config.train, device):
        training, past = Training.of(fold), []
        for epoch in range(3):
            torch.cuda.reset_peak_memory_stats(device)
            losses = train_epoch(training, epoch, past)
            past.append(float(torch.stack(losses).mean()))
            yield torch.cuda.max_memory_allocated(device) - before


LARGE = ["model.backbone=tf_efficientnet_lite0", "features.n_mels=64", "features.n_fft=512",
         "train.first_n_mels=null"]  # fmt: skip


def bare_peak(cohort: Cohort, device: torch.device) -> int:
    """The same network's steps on fixed tensors, with the bank beside them."""
    before = torch.cuda.memory_allocated(device)
    fold = fold_on(cohort, config("track=[]", *LARGE), device)
    training, size = Training.of(fold), fold.config.train.batch_size
    x = torch.randn(size, 1, 64, fold.config.train.crop_frames, device=device)
    targets = {name: each[:size] for name, each in training.bag_targets.items()}
    torch.cuda.reset_peak_memory_stats(device)
    for _ in range(3):
        with autocast(fold.config.train.precision, device):
            logits = training.model(x.contiguous(memory_format=torch.channels_last))
        training.losses(logits, targets).backward()  # type: ignore[no-untyped-call]
        training.optimizer.step()
        training.optimizer.zero_grad()
    return torch.cuda.max_memory_allocated(device) - before


@pytest.mark.parametrize(("backend", "most"), [("eager", 1.3), ("cuda_graphs", 2.5)])
def test_peak_memory(
    cohort: Cohort, cuda: torch.device, figure: Figure, backend: str, most: float
) -> None:
    """No epoch takes more than the one before, and what was taken is given back."""
    held = torch.cuda.memory_allocated(cuda)
    bare = bare_peak(cohort, cuda)
    peaks = list(epochs(cohort, cuda, *LARGE, f"train.backend={backend}"))
    figure(bare_MiB=bare / MIB, fold_MiB=max(peaks) / MIB)
    assert peaks[2] <= peaks[1] + MIB
    assert peaks[2] <= most * bare + 8 * MIB
    assert torch.cuda.memory_allocated(cuda) <= held + 16 * MIB  # libraries keep workspaces


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-4), ("bfloat16", 0.05)])
def test_a_bundle_predicts_as_on_the_cpu(
    device: torch.device,
    shared_table_csv: Path,
    tmp_path: Path,
    figure: Figure,
    precision: str,
    most: float,
) -> None:
    words = [*TINY, f"data.path={shared_table_csv}", f"train.precision={precision}"]
    run(tmp_path, device.type, *words, "train.epochs=12", "optim.lr=3e-3")
    assert kfold_hs("export", "reports/a", "-o", "bundle", cwd=tmp_path).returncode == 0
    tables = []
    for place in ("cpu", device.type):
        asked = ["bundle", shared_table_csv, "-o", f"{place}.csv", "--device", place, "-q"]
        done = kfold_hs("predict", *asked, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        table = pd.read_csv(tmp_path / f"{place}.csv", index_col="patient_id")
        tables.append(table.filter(regex=r"^p\."))
    assert tables[0].shape == (16, 5)
    assert tables[0].std().min() > 1e-3, "people are told apart"
    difference = float((tables[0] - tables[1]).abs().max().max())
    figure(difference=difference)
    assert difference <= most


def test_weights_are_the_cpus_before_the_first_step(cohort: Cohort, device: torch.device) -> None:
    """Initial weights are drawn on the CPU, whatever the device."""
    settings = config("track=[]")
    models = [
        state(Training.of(fold_on(cohort, settings, device)).model)
        for device in (torch.device("cpu"), device)
    ]
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])
