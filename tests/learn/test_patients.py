"""Training on patients: bags of crops, attention over them, one answer for all sites."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.training import check_resumed, fit

from kfold_hs.cohort import Cohort
from kfold_hs.config.compose import compose
from kfold_hs.config.poolings import POOLS
from kfold_hs.errors import ConfigError
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.data.bags import Bags
from kfold_hs.learn.models.pooling import GatedAttention
from kfold_hs.learn.training.epoch_plan import examples_of_a_batch
from kfold_hs.predictions.table import Predictions

PATIENT = ["train.level=patient", "train.sites_per_patient=2"]


RECIPES = {
    "plain": PATIENT,
    "padded": ["train.level=patient", "train.sites_per_patient=4", "predict.crop_overlap=0.5"],
    "drawn": ["train.level=patient", "train.sites_per_patient=1",
              "predict.patient_pool=attention"],
    "mixed": [*PATIENT, "augment.mixup_alpha=0.5", "augment.cutmix_alpha=1.0",
              "augment.stretch=0.1", "model.covariates=[age]", "train.average=ema",
              "train.average_decay=0.8"],
    "averaged": [*PATIENT, "train.average=swa", "train.average_start=0.3", "train.sampling=joint",
                 "select=best",
                 "train.accumulate=2", "train.crops_per_recording=2", "model.pool=gem"],
}  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_patients_train_and_resume_to_the_bit(cohort: Cohort, tmp_path: Path, name: str) -> None:
    words = RECIPES[name]
    paths, whole = check_resumed(cohort, tmp_path, *words)
    content = torch.load(paths.fold(FoldId(0, 0, 0)).best_model, weights_only=True)
    assert "attention.score.weight" in content["model_state_dict"]
    # The recordings of the kept epoch stand there, too, each by itself.
    recordings = whole.where(level="recording")
    assert recordings.table["recording_id"].nunique() == cohort.n_recordings
    for epoch in range(3):
        patients = whole.where(level="patient", epoch=epoch)
        assert patients.table["patient_id"].nunique() == cohort.n_patients


def test_a_patient_is_heard_as_a_whole(cohort: Cohort, tmp_path: Path) -> None:
    _, found = fit(cohort, tmp_path, *PATIENT, "train.epochs=12", "optim.lr=5e-3", "augment=none")
    last = found.where(level="patient", epoch=11)
    score, heard = last.y_prob("murmur")[:, 0], last.y_true("murmur") == 0
    assert score[heard].mean() > score[~heard].mean() + 0.2
    # No rule on the recordings' probabilities made the patient's.
    parts = found.where(level="recording")
    mean = parts.table.groupby("patient_id")["p.murmur.Present"].mean()
    whole = last.table.set_index("patient_id")["p.murmur.Present"]
    assert not np.allclose(mean.loc[whole.index], whole, atol=1e-4)


def test_bags_by_hand(cohort: Cohort) -> None:
    rows = np.array([0, 1, 2, 4, 5])  # two of p0, one of p1, two of p2
    bags = Bags.of(cohort, rows, compose([*PATIENT, "train.sites_per_patient=3"]).train)
    assert bags.table.tolist() == [[0, 1], [2, 2], [4, 5]]
    assert bags.first.tolist() == [0, 2, 4]
    recordings, present = bags.draw(np.array([1, 0]), np.random.default_rng(0))
    assert recordings[0].tolist() == [2, 2, 2]
    assert present.tolist() == [[1, 0, 0], [1, 1, 0]]
    assert set(recordings[1].tolist()) == {0, 1}
    assert recordings[1, 0] != recordings[1, 1]  # no recording twice before all are in
    few = Bags.of(cohort, rows, compose([*PATIENT, "train.sites_per_patient=1"]).train)
    drawn = {int(few.draw(np.array([0]), np.random.default_rng(s))[0][0, 0]) for s in range(20)}
    assert drawn == {0, 1}


def test_a_batch_counts_crops() -> None:
    assert examples_of_a_batch(compose(["train.batch_size=32"])) == 32
    patients = ["train.level=patient", "train.batch_size=32", "train.sites_per_patient=5"]
    assert examples_of_a_batch(compose(patients)) == 6
    with pytest.raises(ConfigError, match=r"batch_size=4 counts crops .*sites_per_patient=5"):
        compose([*patients, "train.batch_size=4"])


def test_attention_is_its_formula_and_does_not_see_padding() -> None:
    torch.manual_seed(0)
    attention = GatedAttention(6, 5)
    features = torch.randn(8, 6)
    present = torch.tensor([[1.0, 1, 1, 1], [1, 1, 0, 0]])
    found = attention(features, present)
    for bag, n in enumerate([4, 2]):
        h = features[4 * bag : 4 * bag + n]
        gated = torch.tanh(attention.value(h)) * torch.sigmoid(attention.gate(h))
        weights = attention.score(gated)[:, 0].softmax(0)
        torch.testing.assert_close(found[bag], (weights[:, None] * h).sum(0))
    features[6:] = 1e3
    torch.testing.assert_close(attention(features, present), found)
    # The same bags as groups of any size.
    rows, owner = [0, 1, 2, 3, 4, 5], torch.tensor([0, 0, 0, 0, 1, 1])
    torch.testing.assert_close(attention.of_groups(features[rows], owner, 2, torch.ones(6)), found)


def test_a_long_recording_counts_as_a_short_one() -> None:
    """Three like crops of one recording and one of another: as one crop of each."""
    torch.manual_seed(0)
    attention = GatedAttention(6, 5)
    one, other = torch.randn(2, 1, 6)
    crops = torch.cat([one, one, one, other])
    share = torch.tensor([1 / 3, 1 / 3, 1 / 3, 1])
    found = attention.of_groups(crops, torch.zeros(4, dtype=torch.long), 1, share)
    expected = attention(torch.cat([one, other]), torch.ones(1, 2))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["predict.patient_pool=attention"], r"set train\.level=patient, or name a rule"),
        (["train.level=patient", "predict.patient_pool=max"], r"do not fit train\.level=patient"),
        (["train.level=patient", "predict.crop_pool=max"], r"leave both out"),
    ],
)
def test_rules_that_do_not_go_together(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        compose(words)


@pytest.fixture(scope="module")
def mean(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Predictions:
    return fit(cohort, tmp_path_factory.mktemp("mean"), "predict.patient_pool=any_site")[1]


@pytest.mark.parametrize("rule", ["mean_logit", "max", "any_site"])
def test_crops_to_a_recording_by_every_rule(
    cohort: Cohort, mean: Predictions, tmp_path: Path, rule: str
) -> None:
    words = [f"predict.crop_pool={rule}", "predict.patient_pool=any_site"]
    _, whole = check_resumed(cohort, tmp_path, *words, folds=1)
    assert (whole.y_prob("murmur") != mean.where(fold=0).y_prob("murmur")).any()


def test_any_site_is_positive_exactly_when_a_site_is() -> None:
    probs = np.random.default_rng(0).dirichlet([1, 1, 1], size=(500, 3))
    differs = 0
    for sites in probs:
        pooled = POOLS["any_site"](sites, 0)
        is_positive = bool((sites.argmax(axis=1) == 0).any())
        assert (pooled.argmax() == 0) == is_positive
        differs += (POOLS["max"](sites, 0).argmax() == 0) != is_positive
        two = np.stack([sites[:, 0], 1 - sites[:, 0]], axis=1)
        np.testing.assert_allclose(POOLS["any_site"](two, 0), POOLS["max"](two, 0))
    assert differs
