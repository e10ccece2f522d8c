"""Schedules, losses, augmentation, pooling and streams, against numbers and torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kfold_hs.cohort import Task
from kfold_hs.learn.augment import mask, mixup
from kfold_hs.learn.losses import TaskLosses, smooth, soft_loss
from kfold_hs.learn.outcome import overfitting_since
from kfold_hs.learn.pool import POOLS, pool_patients
from kfold_hs.learn.predict import crop_starts
from kfold_hs.learn.schedules import cosine, onecycle
from kfold_hs.learn.streams import Place
from kfold_hs.settings import AugmentConfig, CrossEntropyConfig, FocalConfig

# --- schedules --------------------------------------------------------------------------------


def torch_rates(make: object, n_steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)  # type: ignore[operator]
    rates = []
    for _ in range(n_steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize(("n_steps", "pct_start"), [(50, 0.3), (600, 0.3), (37, 0.2), (100, 0.5)])
def test_onecycle_is_torchs(n_steps: int, pct_start: float) -> None:
    expected = torch_rates(
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=1.0, total_steps=n_steps + 1, pct_start=pct_start,
            div_factor=25, final_div_factor=1e4, cycle_momentum=False,
        ),
        n_steps + 1,
    )  # fmt: skip
    found = [onecycle(step, n_steps + 1, pct_start, 25, 1e4) for step in range(n_steps + 1)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert found[0] == pytest.approx(1 / 25)
    assert max(found) <= 1
    assert found[-1] == pytest.approx(1 / 25 / 1e4)


def test_cosine_is_torchs() -> None:
    expected = torch_rates(
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=40, eta_min=0.1
        ),
        40,
    )
    np.testing.assert_allclose([cosine(s, 40, 0, 0.1) for s in range(40)], expected, rtol=1e-9)


def test_cosine_with_warm_up_is_torchs() -> None:
    def make(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=9)
        down = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=90)
        return torch.optim.lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[10])

    expected = torch_rates(make, 100)
    np.testing.assert_allclose([cosine(s, 100, 0.1, 0) for s in range(100)], expected, atol=1e-9)


@settings(max_examples=200)
@given(st.integers(1, 500), st.floats(0.01, 0.99), st.floats(0, 0.99))
def test_multipliers_are_finite_and_in_range(n_steps: int, pct_start: float, warmup: float) -> None:
    for step in {0, n_steps // 2, n_steps - 1}:
        assert 0 <= onecycle(step, n_steps, pct_start, 25, 1e4) <= 1
        assert 0 <= cosine(step, n_steps, warmup, 0.0) <= 1


# --- losses -----------------------------------------------------------------------------------


def random_logits(n: int = 12, n_classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, n_classes, generator=generator)
    return logits, torch.randint(0, n_classes, (n,), generator=generator)


def test_cross_entropy_is_torchs() -> None:
    logits, y = random_logits()
    hot = torch.nn.functional.one_hot(y, 3).float()
    weights = torch.tensor([3.0, 2.0, 1.0])
    expected = torch.nn.functional.cross_entropy(logits, y, weight=weights)
    torch.testing.assert_close(soft_loss(logits, hot, weights), expected)
    expected = torch.nn.functional.cross_entropy(logits, y, label_smoothing=0.1)
    torch.testing.assert_close(soft_loss(logits, smooth(hot, 0.1), torch.ones(3)), expected)


def test_focal_is_its_formula() -> None:
    logits, y = random_logits()
    hot = torch.nn.functional.one_hot(y, 3).float()
    p = logits.softmax(1)[torch.arange(12), y].double()
    expected = ((1 - p) ** 2 * -p.log()).mean().float()
    torch.testing.assert_close(soft_loss(logits, hot, torch.ones(3), gamma=2), expected)
    torch.testing.assert_close(
        soft_loss(logits, hot, torch.ones(3), gamma=0), soft_loss(logits, hot, torch.ones(3))
    )


def test_focal_gradient_is_finite_for_a_sure_answer() -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    soft_loss(logits, torch.tensor([[1.0, 0.0]]), torch.ones(2), gamma=0.5).backward()
    assert torch.isfinite(logits.grad).all()  # type: ignore[arg-type]


TASK = Task("t", ("a", "b", "c"), "a", (3.0, 2.0, 1.0), "mean")


def test_class_weights_by_name() -> None:
    hot = torch.eye(3)[[0, 0, 0, 1, 2, 2]]
    for kind, expected in (
        ("none", [1, 1, 1]),
        ("task", [3, 2, 1]),
        ("balanced", [6 / 11, 18 / 11, 9 / 11]),
    ):
        config = CrossEntropyConfig(kind="cross_entropy", label_smoothing=0, class_weights=kind)
        weights = TaskLosses(config, (TASK,), {"t": hot}).weights["t"]
        torch.testing.assert_close(weights, torch.tensor(expected, dtype=torch.float32))


def test_loss_is_the_mean_of_the_tasks() -> None:
    logits, y = random_logits()
    hot = torch.nn.functional.one_hot(y, 3).float()
    config = FocalConfig(kind="focal", gamma=2, label_smoothing=0.1, class_weights="task")
    other = Task("u", TASK.classes, "a", (1.0, 1.0, 1.0), "mean")
    both = TaskLosses(config, (TASK, other), {"t": hot, "u": hot})
    one = TaskLosses(config, (TASK,), {"t": hot})({"t": logits}, {"t": hot})
    two = TaskLosses(config, (other,), {"u": hot})({"u": logits}, {"u": hot})
    found = both({"t": logits, "u": logits}, {"t": hot, "u": hot})
    torch.testing.assert_close(found, (one + two) / 2)


# --- augmentation -----------------------------------------------------------------------------

MASKS = AugmentConfig(
    mixup_alpha=0.3, time_masks=2, time_mask_frames=10, band_masks=1, band_mask_bands=4
)


def test_masks_are_whole_stripes_no_wider_than_asked() -> None:
    x = torch.ones(200, 1, 16, 40)
    masked = mask(x, MASKS, np.random.default_rng(0))[:, 0]
    assert (x == 1).all()
    bands = (masked == 0).all(dim=2).sum(dim=1)
    frames = (masked == 0).all(dim=1).sum(dim=1)
    assert set(bands.tolist()) == {0, 1, 2, 3, 4}
    assert int(frames.max()) <= 20
    assert int(frames.max()) > 12  # two masks, side by side in some example
    stripes = (masked == 0).all(dim=2)[:, :, None] | (masked == 0).all(dim=1)[:, None]
    assert torch.equal(masked == 0, stripes)


def test_masks_wider_than_the_crop_still_fit() -> None:
    wide = MASKS.model_copy(update={"time_mask_frames": 500})
    assert mask(torch.ones(50, 1, 4, 8), wide, np.random.default_rng(0)).shape == (50, 1, 4, 8)


def test_mixup_mixes_inputs_and_targets_alike() -> None:
    eye = torch.eye(5)
    x, targets = mixup(eye.view(5, 1, 1, 5), {"t": eye}, 0.4, np.random.default_rng(0))
    torch.testing.assert_close(x.view(5, 5), targets["t"])
    torch.testing.assert_close(targets["t"].sum(1), torch.ones(5))
    same, _ = mixup(eye.view(5, 1, 1, 5), {"t": eye}, 0.0, np.random.default_rng(0))
    assert torch.equal(same.view(5, 5), eye)


# --- pooling, crops, streams, over-fitting ----------------------------------------------------


def test_pools_by_hand() -> None:
    probs = np.array([[0.2, 0.2, 0.6], [0.8, 0.1, 0.1]])
    np.testing.assert_allclose(POOLS["mean"](probs, 0), [0.5, 0.15, 0.35])
    np.testing.assert_allclose(POOLS["max"](probs, 0), [0.8, 0.06, 0.14])
    np.testing.assert_allclose(POOLS["mean_max"](probs, 0), [0.65, 0.105, 0.245])
    certain = np.array([[1.0, 0.0, 0.0]])
    for pool in POOLS.values():
        np.testing.assert_allclose(pool(certain, 0), [1, 0, 0])


def test_patients_are_pooled_from_their_own_recordings() -> None:
    probs = np.array([[0.1, 0.9], [0.5, 0.5], [0.3, 0.7]])
    pooled = pool_patients(probs, np.array([1, 0, 1]), 2, "mean", 0)
    np.testing.assert_allclose(pooled, [[0.5, 0.5], [0.2, 0.8]])


@given(st.integers(1, 3000), st.integers(16, 300), st.floats(0, 0.9))
def test_crops_cover_a_recording(n_frames: int, crop: int, overlap: float) -> None:
    starts = crop_starts(n_frames, crop, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, n_frames - crop)
    assert all(b - a <= crop * (1 - overlap) + 1 for a, b in itertools.pairwise(starts))


def test_streams_depend_on_the_place_and_the_purpose_only() -> None:
    def draw(place: Place, purpose: str, epoch: int) -> float:
        return float(place.generator(purpose, epoch).random())

    place = Place(0, 0, 0, 0)
    assert draw(place, "crop", 3) == draw(Place(0, 0, 0, 0), "crop", 3)
    others = [Place(1, 0, 0, 0), Place(0, 1, 0, 0), Place(0, 0, 1, 0), Place(0, 0, 0, 1)]
    drawn = [draw(p, "crop", 3) for p in [place, *others]]
    drawn += [draw(place, "mask", 3), draw(place, "crop", 4)]
    assert len(set(drawn)) == 7


@pytest.mark.parametrize(
    ("train", "val", "since"),
    [
        ([4, 3, 2, 1, 0.5, 0.4], [4, 3, 2, 2.5, 3, 3], 3),
        ([4, 3, 2, 1, 0.5, 0.4], [4, 3, 2, 1.9, 1.8, 1.7], None),  # still falling
        ([4, 3, 2, 2.1, 2.2, 2.3], [4, 3, 2, 2.5, 3, 3], None),  # training loss rises, too
        ([4, 3, 2, 1, 0.5, 0.4], [4, 3, 2, 2.01, 2.05, 2.04], None),  # within 5 %
        ([1, 0.5], [1, 2], None),  # too short to tell
    ],
)
def test_overfitting(train: list[float], val: list[float], since: int | None) -> None:
    assert overfitting_since(train, val) == since
