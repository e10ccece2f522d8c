"""Schedules, losses, augmentation, pooling and streams, against numbers and torch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kfold_hs.cohort import Task
from kfold_hs.config.base import Choice
from kfold_hs.config.compose import compose
from kfold_hs.config.losses import LOSSES, CrossEntropyConfig, FocalConfig
from kfold_hs.config.poolings import POOLS
from kfold_hs.config.schedules import (
    SCHEDULES,
    ConstantConfig,
    CosineConfig,
    LinearConfig,
    OneCycleConfig,
    PlateauConfig,
    RestartsConfig,
    StepConfig,
    momentum,
    schedule,
)
from kfold_hs.config.schema import AugmentConfig
from kfold_hs.errors import ConfigError
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.data.augment import band_stop, cutmix, gain, mask, mixup, neutral
from kfold_hs.learn.features.bank import Bank
from kfold_hs.learn.losses import COSTS, TaskLosses, smooth, soft_loss
from kfold_hs.learn.prediction.crops import Crops, crop_starts
from kfold_hs.learn.prediction.held_out import overfitting_since
from kfold_hs.learn.random_streams import RandomStreams
from kfold_hs.learn.training.epoch_plan import bands_at, crop_frames_at
from kfold_hs.predictions.aggregation import pool_groups

# --- schedules --------------------------------------------------------------------------------


def test_every_choice_is_a_row_of_its_table() -> None:
    assert all(row.settings().kind == name for name, row in SCHEDULES.items())
    assert all(row.settings().kind == name for name, row in LOSSES.items())
    assert set(COSTS) == set(LOSSES)


def multipliers(config: Choice, n_steps: int) -> list[float]:
    at = schedule(config, n_steps)
    return [at(step, ()) for step in range(n_steps)]


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
    found = multipliers(OneCycleConfig(pct_start=pct_start), n_steps + 1)
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
    np.testing.assert_allclose(
        multipliers(CosineConfig(warmup=0, final_ratio=0.1), 40), expected, rtol=1e-9
    )


def test_cosine_with_warm_up_is_torchs() -> None:
    def make(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
        up = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=9)
        down = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=90)
        return torch.optim.lr_scheduler.SequentialLR(optimizer, [up, down], milestones=[10])

    expected = torch_rates(make, 100)
    np.testing.assert_allclose(multipliers(CosineConfig(warmup=0.1), 100), expected, atol=1e-9)


def test_momentum_is_torchs() -> None:
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=80, pct_start=0.3
    )
    expected = []
    for _ in range(80):
        expected.append(optimizer.param_groups[0]["betas"][0])
        optimizer.step()
        if len(expected) < 80:
            scheduler.step()
    cycled = momentum(OneCycleConfig(cycle_momentum=True), 80, 0.5)
    np.testing.assert_allclose([cycled(step) for step in range(80)], expected, rtol=1e-9)
    assert [momentum(each, 80, 0.5)(7) for each in (OneCycleConfig(), CosineConfig())] == [0.5, 0.5]


@pytest.mark.parametrize(("n_cycles", "lengthen"), [(1, 1), (3, 2), (4, 1)])
def test_restarts_are_torchs(n_cycles: int, lengthen: int) -> None:
    first = 12
    n_steps = first * sum(lengthen**i for i in range(n_cycles))
    expected = torch_rates(
        lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
            optimizer, T_0=first, T_mult=lengthen, eta_min=0.05
        ),
        n_steps,
    )
    config = RestartsConfig(n_cycles=n_cycles, lengthen=lengthen, final_ratio=0.05)
    found = multipliers(config, n_steps)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_linear_steps_and_constant_are_torchs() -> None:
    scheduler = torch.optim.lr_scheduler
    line = torch_rates(lambda o: scheduler.LinearLR(o, 1.0, 0.1, total_iters=40), 40)
    config = LinearConfig(warmup=0, final_ratio=0.1)
    np.testing.assert_allclose(multipliers(config, 40), line, rtol=1e-9)
    stairs = torch_rates(lambda o: scheduler.StepLR(o, step_size=14, gamma=0.1), 40)
    np.testing.assert_allclose(multipliers(StepConfig(every=0.35), 40), stairs, rtol=1e-9)
    assert multipliers(ConstantConfig(warmup=0.2), 10)[:4] == [0.5, 1.0, 1.0, 1.0]
    assert (
        multipliers(StepConfig(every=0.1, gamma=0.5), 30)[29] == 0.5**9
    )  # 0.1 * 30 is 3.0000000000000004


@given(st.lists(st.floats(0.1, 2), min_size=1, max_size=40), st.integers(0, 4))
def test_plateau_is_torchs(losses: list[float], patience: int) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=0.3, patience=patience, threshold=1e-3, min_lr=0.01, eps=0
    )
    at = schedule(PlateauConfig(factor=0.3, patience=patience, threshold=1e-3, final_ratio=0.01), 1)
    for n in range(len(losses)):
        scheduler.step(losses[n])
        found = at(0, losses[: n + 1])
        assert found == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9)


@settings(max_examples=200)
@given(st.integers(1, 500), st.floats(0.01, 0.99), st.floats(0, 0.99))
def test_multipliers_are_finite_and_in_range(n_steps: int, pct_start: float, warmup: float) -> None:
    for config in (OneCycleConfig(pct_start=pct_start), CosineConfig(warmup=warmup)):
        at = schedule(config, n_steps)
        assert all(0 <= at(step, ()) <= 1 for step in {0, n_steps // 2, n_steps - 1})


# --- losses -----------------------------------------------------------------------------------


def random_logits(n: int = 12, n_classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, n_classes, generator=generator)
    return logits, torch.randint(0, n_classes, (n,), generator=generator)


PLAIN = CrossEntropyConfig()


def test_cross_entropy_is_torchs() -> None:
    logits, y = random_logits()
    hot = torch.nn.functional.one_hot(y, 3).float()
    weights = torch.tensor([3.0, 2.0, 1.0])
    expected = torch.nn.functional.cross_entropy(logits, y, weight=weights)
    torch.testing.assert_close(soft_loss(logits, hot, weights, PLAIN), expected)
    expected = torch.nn.functional.cross_entropy(logits, y, label_smoothing=0.1)
    torch.testing.assert_close(soft_loss(logits, smooth(hot, 0.1), torch.ones(3), PLAIN), expected)


def test_focal_is_its_formula() -> None:
    logits, y = random_logits()
    hot = torch.nn.functional.one_hot(y, 3).float()
    p = logits.softmax(1)[torch.arange(12), y].double()
    expected = ((1 - p) ** 2 * -p.log()).mean().float()
    torch.testing.assert_close(
        soft_loss(logits, hot, torch.ones(3), FocalConfig(gamma=2)), expected
    )
    torch.testing.assert_close(
        soft_loss(logits, hot, torch.ones(3), FocalConfig(gamma=0)),
        soft_loss(logits, hot, torch.ones(3), PLAIN),
    )


def test_focal_gradient_is_finite_for_a_sure_answer() -> None:
    logits = torch.tensor([[200.0, 0.0]], requires_grad=True)
    soft_loss(logits, torch.tensor([[1.0, 0.0]]), torch.ones(2), FocalConfig(gamma=0.5)).backward()
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


def test_weights_by_effective_numbers_and_of_the_challenge() -> None:
    hot = torch.eye(3)[[0, 0, 0, 1, 2, 2]]
    config = CrossEntropyConfig(
        kind="cross_entropy", label_smoothing=0, class_weights="effective", effective_beta=0.5
    )
    # (1 - b) / (1 - b^n) for 3, 1 and 2: 4/7, 1, 2/3; their mean is 47/63
    weights = TaskLosses(config, (TASK,), {"t": hot}).weights["t"]
    torch.testing.assert_close(weights, torch.tensor([36 / 47, 63 / 47, 42 / 47]))
    config = config.model_copy(update={"class_weights": "challenge"})
    murmur = Task("murmur", ("Present", "Unknown", "Absent"), "Present", (1.0,) * 3, "mean")
    weights = TaskLosses(config, (murmur,), {"murmur": hot}).weights["murmur"]
    assert weights.tolist() == [5, 3, 1]
    with pytest.raises(ConfigError, match="has no weight for t=a"):
        TaskLosses(config, (TASK,), {"t": hot})


def test_task_weights() -> None:
    logits, y = random_logits()
    hot = torch.nn.functional.one_hot(y, 3).float()
    other = Task("u", TASK.classes, "a", (1.0, 1.0, 1.0), "mean")
    config = CrossEntropyConfig(
        kind="cross_entropy", label_smoothing=0, class_weights="task", task_weights={"u": 3}
    )
    both = TaskLosses(config, (TASK, other), {"t": hot, "u": hot})
    one = TaskLosses(config.model_copy(update={"task_weights": {}}), (TASK,), {"t": hot})
    two = soft_loss(logits, hot, torch.ones(3), PLAIN)
    found = both({"t": logits, "u": logits}, {"t": hot, "u": hot})
    torch.testing.assert_close(found, (one({"t": logits}, {"t": hot}) + 3 * two) / 4)
    for weights, message in (({"v": 1}, "unknown task"), ({"t": 0, "u": 0}, "every task 0")):
        wrong = config.model_copy(update={"task_weights": weights})
        with pytest.raises(ConfigError, match=message):
            TaskLosses(wrong, (TASK, other), {"t": hot, "u": hot})


def test_ordinal_smoothing_by_hand() -> None:
    found = smooth(torch.eye(3), 0.2, ordinal=True)
    expected = torch.tensor([[0.8, 0.2, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])
    torch.testing.assert_close(found, expected)


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
    masked = mask(x, MASKS, np.random.default_rng(0), torch.zeros(1))[:, 0]
    assert (x == 1).all()
    bands = (masked == 0).all(dim=2).sum(dim=1)
    frames = (masked == 0).all(dim=1).sum(dim=1)
    assert set(bands.tolist()) == {0, 1, 2, 3, 4}
    assert int(frames.max()) <= 20
    assert int(frames.max()) > 12  # two masks, side by side in some example
    stripes = (masked == 0).all(dim=2)[:, :, None] | (masked == 0).all(dim=1)[:, None]
    assert torch.equal(masked == 0, stripes)
    sound = torch.randn(200, 1, 16, 40, generator=torch.Generator().manual_seed(0))
    heard = mask(sound, MASKS, np.random.default_rng(0), torch.full((1,), 9.0))
    expected = torch.where(stripes[:, None], 9.0, sound)
    assert torch.equal(heard, expected)  # the rest is as it was, to the bit


def test_masks_wider_than_the_crop_still_fit() -> None:
    wide = MASKS.model_copy(update={"time_mask_frames": 500})
    masked = mask(torch.ones(50, 1, 4, 8), wide, np.random.default_rng(0), torch.zeros(1))
    assert masked.shape == (50, 1, 4, 8)


def test_a_masked_cell_holds_a_mean() -> None:
    x = torch.arange(2 * 3 * 4).float().view(2, 1, 3, 4)
    bands = torch.tensor([[5.0], [6.0], [7.0]])
    assert neutral(x, "recording", None).tolist() == [0]
    assert neutral(x, "none", None).flatten().tolist() == [5.5, 17.5]
    whole = MASKS.model_copy(update={"time_masks": 0, "band_masks": 60, "band_mask_bands": 3})
    masked = mask(x, whole, np.random.default_rng(0), neutral(x, "band", bands))
    assert torch.equal(masked, bands.expand_as(x))


def test_band_stops_are_whole_bands_at_the_quietest_level() -> None:
    settings = MASKS.model_copy(update={"band_stops": 1, "band_stop_bands": 4})
    x = torch.rand(200, 1, 16, 40, generator=torch.Generator().manual_seed(0))
    x[:, 0, 3, 7] = -torch.arange(200.0) - 1
    stopped = band_stop(x, settings, np.random.default_rng(0))
    floor = -torch.arange(200.0).view(200, 1, 1) - 1
    silent = (stopped[:, 0] == floor).all(dim=2)
    assert set(silent.sum(dim=1).tolist()) == {0, 1, 2, 3, 4}
    starts = [int(row.int().argmax()) for row in silent if row.any()]
    assert len(set(starts)) > 8
    assert all(silent[i].int().diff().abs().sum() <= 2 for i in range(200))
    assert torch.equal(stopped[:, 0][~silent], x[:, 0][~silent])


def test_gain_adds_one_number_to_each_crop() -> None:
    settings = MASKS.model_copy(update={"gain_db": 6.0})
    x = torch.randn(500, 1, 4, 8)
    added = (gain(x, settings, np.random.default_rng(0)) - x).flatten(1)
    torch.testing.assert_close(added, added[:, :1].expand_as(added))
    assert -6 < float(added.min()) < -5.9
    assert 5.9 < float(added.max()) < 6
    assert abs(float(added.mean())) < 0.5
    assert gain(x, MASKS, np.random.default_rng(0)) is x


def test_mixup_mixes_inputs_and_targets_alike() -> None:
    eye = torch.eye(5)
    x, targets = mixup(eye.view(5, 1, 1, 5), {"t": eye}, 0.4, np.random.default_rng(0))
    torch.testing.assert_close(x.view(5, 5), targets["t"])
    torch.testing.assert_close(targets["t"].sum(1), torch.ones(5))
    same, _ = mixup(eye.view(5, 1, 1, 5), {"t": eye}, 0.0, np.random.default_rng(0))
    assert torch.equal(same.view(5, 5), eye)


@pytest.mark.parametrize(("axis", "shape"), [("time", (1, 1, 40)), ("band", (1, 40, 1))])
def test_cutmix_exchanges_one_stretch_and_its_share(axis: str, shape: tuple[int, ...]) -> None:
    n = 64
    x = torch.arange(n).float().view(n, 1, 1, 1).expand(n, *shape)
    eye = torch.eye(n)
    mixed, targets = cutmix(x, {"t": eye}, 1.0, axis, np.random.default_rng(0))
    flat = mixed.reshape(n, 40)
    for i in range(n):
        share = torch.bincount(flat[i].long(), minlength=n) / 40
        torch.testing.assert_close(share, targets["t"][i])
        changes = int((flat[i][1:] != flat[i][:-1]).sum())
        assert changes <= 2  # in and out of one stretch
    assert len({int((flat[i] != i).sum()) for i in range(n)}) > 10
    same, _ = cutmix(x, {"t": eye}, 0.0, axis, np.random.default_rng(0))
    assert torch.equal(same, x)


# --- pooling, crops, streams, over-fitting ----------------------------------------------------


def test_pools_by_hand() -> None:
    probs = np.array([[0.2, 0.2, 0.6], [0.8, 0.1, 0.1]])
    np.testing.assert_allclose(POOLS["mean"](probs, 0), [0.5, 0.15, 0.35])
    np.testing.assert_allclose(POOLS["max"](probs, 0), [0.8, 0.06, 0.14])
    np.testing.assert_allclose(POOLS["mean_max"](probs, 0), [0.65, 0.105, 0.245])
    np.testing.assert_allclose(POOLS["noisy_or"](probs, 0), [0.84, 0.048, 0.112])
    odds = np.sqrt([0.2 * 0.8, 0.2 * 0.1, 0.6 * 0.1])
    np.testing.assert_allclose(POOLS["mean_logit"](probs, 0), odds / odds.sum())
    certain = np.array([[1.0, 0.0, 0.0]])
    for pool in POOLS.values():
        np.testing.assert_allclose(pool(certain, 0), [1, 0, 0], atol=1e-9)


def test_patients_are_pooled_from_their_own_recordings() -> None:
    probs = np.array([[0.1, 0.9], [0.5, 0.5], [0.3, 0.7]])
    pooled = pool_groups(probs, np.array([1, 0, 1]), 2, "mean", 0)
    np.testing.assert_allclose(pooled, [[0.5, 0.5], [0.2, 0.8]])


def test_shifted_crops() -> None:
    assert crop_starts(250, 100, 0.0) == (0, 75, 150)
    assert crop_starts(250, 100, 0.0, n_shifts=3) == (0, 25, 50, 75, 100, 125, 150)
    assert crop_starts(80, 100, 0.0, n_shifts=3) == (0,)


def test_every_crop_is_heard_at_every_gain() -> None:
    frames = torch.arange(60).half().view(-1, 1).expand(-1, 2)
    bank = Bank(frames, torch.tensor([0, 25]), torch.tensor([25, 35]), "digest")
    words = ["features.normalise=none", "train.crop_frames=16", "predict.gains_db=[-6,0.5]"]
    crops = Crops.of(bank, np.array([1, 0]), compose(words))
    assert crops.owner.tolist() == [0, 0, 0, 0, 0, 0, 1, 1, 1, 1]
    whole, bare = (
        torch.cat([x for _, x in crops.batches(bank, compose(words), fill)])
        for fill in (True, False)
    )
    assert len(whole) == 64  # filled up to a whole batch
    firsts = [25, 35, 44, 0, 9]  # 3 crops of 35 frames, 2 of 25
    expected = [first + g for first in firsts for g in (-6, 0.5)]
    assert whole[:, 0, 0, 0].tolist() == expected + expected[-1:] * 54
    assert bare[:, 0, 0, 0].tolist() == expected


@pytest.mark.parametrize(
    "words",
    [
        ["augment.gain_db=6"],
        ["augment.gain_db=6", "features=pcen", "features.normalise=none"],
        ["predict.gains_db=[-3,3]"],
    ],
)
def test_a_gain_that_could_do_nothing_is_refused(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"gains?_db=.*takes it out again: set features\."):
        compose(words)


def test_crops_grow() -> None:
    config = compose(["train.first_crop_frames=64", "train.crop_frames=256", "train.epochs=10"])
    assert [crop_frames_at(config, e) for e in range(7)] == [64, 96, 144, 176, 224, 256, 256]
    assert crop_frames_at(compose(["train.crop_frames=256"]), 0) == 256
    config = compose(["features=logmel", "train.first_n_mels=16", "train.epochs=10"])
    assert [bands_at(config, e) for e in range(6)] == [16, 24, 36, 44, 56, 64]
    with pytest.raises(ConfigError, match=r"first_n_mels=80 is above features\.n_mels=64"):
        compose(["features=logmel", "train.first_n_mels=80"])


@given(st.integers(1, 3000), st.integers(16, 300), st.floats(0, 0.9))
def test_crops_cover_a_recording(n_frames: int, crop: int, overlap: float) -> None:
    starts = crop_starts(n_frames, crop, overlap)
    assert starts[0] == 0
    assert starts[-1] == max(0, n_frames - crop)
    assert all(b - a <= crop * (1 - overlap) + 1 for a, b in itertools.pairwise(starts))


def test_streams_depend_on_the_place_and_the_purpose_only() -> None:
    def draw(streams: RandomStreams, purpose: str, epoch: int) -> float:
        return float(streams.generator(purpose, epoch).random())

    place = RandomStreams(0, FoldId(0, 0, 0))
    assert draw(place, "crop", 3) == draw(RandomStreams(0, FoldId(0, 0, 0)), "crop", 3)
    others = [
        RandomStreams(root, FoldId(*fold))
        for root, *fold in ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    ]
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
