"""Running means of the weights: by hand, integers copied, batch statistics anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.models import TASKS
from support.models import config as model_config
from support.project import TINY

from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.models.network import HeartSoundNet, Inputs, make_model
from kfold_hs.learn.prediction.crops import Crops
from kfold_hs.learn.training.optimizer import Average, update_batch_statistics

COUNTER = "num_batches_tracked"


def steps(average: Average, model: HeartSoundNet, n: int) -> list[dict[str, torch.Tensor]]:
    seen = []
    for k in range(n):
        with torch.no_grad():
            for each in model.parameters():
                each.add_(torch.randn_like(each))
            for name, buffer in model.named_buffers():
                buffer.add_(1 + k if name.endswith(COUNTER) else torch.rand_like(buffer))
        average.update(model)
        seen.append({name: each.clone() for name, each in model.state_dict().items()})
    return seen


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_a_mean_is_that_of_the_formula(decay: float) -> None:
    model = make_model(model_config(), TASKS, seed=1)
    wanted = {name: each.double() for name, each in model.state_dict().items()}
    average = Average(model, decay)
    for t, state in enumerate(steps(average, model, 4)):
        kept = min(decay, (1 + t) / (10 + t)) if decay else t / (1 + t)
        wanted = {n: kept * each + (1 - kept) * state[n].double() for n, each in wanted.items()}
    found = average.model.state_dict()
    for name, each in found.items():
        if name.endswith(COUNTER):  # a mean of counters says nothing; the latest does
            assert torch.equal(each, model.state_dict()[name])
        else:
            torch.testing.assert_close(each.double(), wanted[name], atol=1e-5, rtol=1e-5)


def test_an_average_needs_no_value_from_the_device() -> None:
    """Tensors without values stand for those that are not computed yet."""
    model = make_model(model_config(), TASKS, seed=1).to("meta")
    average = Average(model, 0.9)
    average.update(model)
    assert average.n_updates == 1


def test_batch_statistics_are_those_of_the_crops(shared_table_csv: Path) -> None:
    words = [*TINY, f"data.path={shared_table_csv}", "predict.batch_size=4096"]
    config = compose(words)
    cohort = read_cohort(config.data)
    bank = banks.build(cohort, config.features)
    recordings = torch.arange(5).numpy()
    model = make_model(
        config.model, cohort.tasks, 0, Inputs(n_bands=config.features.n_fitted_bands)
    )
    first = next(m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    momentum = first.momentum
    heard = []
    hook = first.register_forward_pre_hook(lambda _, x: heard.append(x[0]))
    update_batch_statistics(model, bank, recordings, config)
    hook.remove()
    (x,) = heard
    assert len(x) == len(Crops.of(bank, recordings, config).rows)
    assert first.running_mean is not None
    torch.testing.assert_close(first.running_mean, x.mean(dim=(0, 2, 3)))
    assert first.momentum == momentum


def test_statistics_anew_are_of_averaged_weights() -> None:
    match = r"train\.average_update_bn=true is read with train\.average=swa only.* is none"
    with pytest.raises(ConfigError, match=match):
        compose([*TINY, "data.path=x.csv", "train.average_update_bn=true"])
