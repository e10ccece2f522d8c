"""The built-in cohort, cross-validated with most of the signal's settings on at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.project import Silent

from kfold_hs.config.compose import compose
from kfold_hs.files.paths import FoldId
from kfold_hs.workflows.cross_validation import run
from kfold_hs.workflows.options import RunOptions

WORDS = [
    "data.n_patients=24", "split.n_folds=2", "split.audit=false", "track=[]", "train.epochs=2",
    "features=logmel", "train.crop_frames=64", "train.batch_size=8",
    "features.band_pass_hz=[25,400]",
    "features.remove_spikes=true", "features.normalise=band", "model.deltas=2",
    "train.align=cycle", "train.first_n_mels=32", "augment.noise_share=0.5", "augment.gain_db=6",
    "augment.band_stops=1", "predict.gains_db=[-3,3]",
]  # fmt: skip


PCEN = ["features=pcen", "augment.noise_share=0", "augment.gain_db=0", "predict.gains_db=[0]"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [["train.level=patient"], PCEN],
    ids=["patients", "pcen"],
)
def test_everything_at_once(tmp_path: Path, more: list[str]) -> None:
    settings = compose([*WORDS, *more])
    result = run(settings, Silent(), RunOptions(root=tmp_path))
    stamps = result.summary.provenance.digests
    assert {"config", "cycles"} <= set(stamps)
    assert ("noise" in stamps) == ("features=pcen" not in more)
    state = torch.load(result.paths.fold(FoldId(0, 0, 0)).last_model, weights_only=True)
    weights = state["model_state_dict"]
    assert weights["front.mean"].shape == (64, 1)
    assert weights["backbone.conv_stem.weight"].shape[1] == 3
    assert result.paths.report.is_file()
