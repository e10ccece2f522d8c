"""Running means of the weights: by hand, integers copied, batch statistics anew."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from support.models import TASKS
from support.models import config as model_config
from support.project import TINY
from support.training import config as training_config
from support.training import context_of, fit

from kfold_hs.cohort import Cohort
from kfold_hs.cohort.readers.registry import read_cohort
from kfold_hs.config.compose import compose
from kfold_hs.errors import ConfigError
from kfold_hs.files.paths import FoldId
from kfold_hs.learn.features import bank as banks
from kfold_hs.learn.models.network import HeartSoundNet, Inputs, make_model
from kfold_hs.learn.prediction.crops import Crops
from kfold_hs.learn.prediction.reload import load_again
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


def test_initial_weights_are_forgotten_soon() -> None:
    """From 0 towards 1: what is left of 0 after n steps of warm-up is n! 9! / (n + 9)!."""
    zero, one = make_model(model_config(), TASKS, seed=1), make_model(model_config(), TASKS, seed=1)
    with torch.no_grad():
        for model, value in ((zero, 0.0), (one, 1.0)):
            for each in model.parameters():
                each.fill_(value)
    slow, fast = Average(zero, 0.999), Average(zero, 0.2)
    for _ in range(5):
        slow.update(one)
        fast.update(one)
    # 1/10, 2/11, then 3/12, 4/13, 5/14; or 0.2 from the third step on.
    for average, left in ((slow, 1 / 2002), (fast, 0.1 * 2 / 11 * 0.2**3)):
        for each in average.model.parameters():
            torch.testing.assert_close(1 - each, torch.full_like(each, left), atol=1e-6, rtol=0)


def test_an_average_needs_no_value_from_the_device() -> None:
    """Tensors without values stand for those that are not computed yet."""
    model = make_model(model_config(), TASKS, seed=1).to("meta")
    average = Average(model, 0.9)
    average.update(model)
    assert average.n_updates == 1


def test_batch_statistics_are_those_of_the_crops(shared_table_csv: Path) -> None:
    """Means over batches of 4; 2 more crops, which would count too much, are left out."""
    words = [*TINY, f"data.path={shared_table_csv}", "predict.batch_size=4"]
    config = compose(words)
    cohort = read_cohort(config.data)
    bank = banks.build(cohort, config.features)
    recordings = torch.arange(5).numpy()
    assert len(Crops.of(bank, recordings, config).rows) == 10
    model = make_model(
        config.model, cohort.tasks, 0, Inputs(n_bands=config.features.n_fitted_bands)
    )
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    momentum = norms[0].momentum
    for norm in (norms[0], norms[-1]):
        heard: list[torch.Tensor] = []
        hook = norm.register_forward_pre_hook(lambda _, x, to=heard: to.append(x[0]))
        update_batch_statistics(model, bank, recordings, config)
        hook.remove()
        assert [len(x) for x in heard] == [4, 4]
        mean = sum(x.mean(dim=(0, 2, 3)) for x in heard) / 2
        var = sum(x.transpose(0, 1).flatten(1).var(dim=1) for x in heard) / 2
        torch.testing.assert_close(norm.running_mean, mean)
        torch.testing.assert_close(norm.running_var, var)
        assert norm.momentum == momentum


def test_swa_is_the_mean_of_its_epochs_with_statistics_of_the_training_people(
    cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, torch.Tensor]] = []
    update = Average.update

    def watched(self: Average, model: HeartSoundNet) -> None:
        seen.append(copy.deepcopy(model.state_dict()))
        update(self, model)

    monkeypatch.setattr(Average, "update", watched)
    words = ["train.epochs=4", "train.average=swa", "train.average_start=0.3"]
    words += ["train.average_update_bn=true"]
    paths, _ = fit(cohort, tmp_path, *words)
    assert len(seen) == 2 * 2  # of epochs 0 to 3 those after 1.2, of two folds
    place, settings = FoldId(0, 0, 1), training_config(*words)
    fold = context_of(cohort, settings, paths, 2).on_device().fold(place)
    kept = load_again(fold, paths.fold(place).last_model)[0].model
    for name, each in kept.named_parameters():
        torch.testing.assert_close(each.detach(), (seen[2][name] + seen[3][name]) / 2)
    buffers = {n: b.clone() for n, b in kept.named_buffers() if "running" in n}
    assert buffers
    for rows, same in ((fold.data.held_out, False), (fold.data.train, True)):
        update_batch_statistics(kept, fold.bank, rows, settings)
        found = {name: torch.equal(kept.get_buffer(name), each) for name, each in buffers.items()}
        assert all(found.values()) if same else not any(found.values())


def test_statistics_anew_are_of_averaged_weights() -> None:
    match = r"train\.average_update_bn=true is read with train\.average=swa only.* is none"
    with pytest.raises(ConfigError, match=match):
        compose([*TINY, "data.path=x.csv", "train.average_update_bn=true"])
