"""Encoder features at three strides, and pretrained files that are loaded or refused."""

import pytest
import torch
from safetensors.torch import save_file

from seg.models.encoder import Encoder
from seg.models.pretrained import (
    PretrainedWeightsError,
    _imagenet,
    describe_pretrained,
    load_pretrained,
    with_credits,
)


@pytest.fixture(scope="module")
def resnet() -> Encoder:
    torch.manual_seed(0)
    return Encoder().eval()


def test_features_have_the_channels_and_sizes_of_their_strides(resnet):
    with torch.no_grad():
        features = resnet(torch.rand(1, 3, 64, 96))
    assert {s: tuple(f.shape) for s, f in features.items()} == {
        8: (1, 512, 8, 12),
        16: (1, 1024, 4, 6),
        32: (1, 2048, 2, 3),
    }


def test_v1_strides_are_on_the_first_convolution():
    stage = Encoder("v1").resnet.layer3[0]
    assert (stage.conv1.stride, stage.conv2.stride) == ((2, 2), (1, 1))
    stage = Encoder("v1.5").resnet.layer3[0]
    assert (stage.conv1.stride, stage.conv2.stride) == ((1, 1), (2, 2))


def test_torchvision_files_load_with_or_without_classifier(resnet, tmp_path):
    state = {
        k: v.half() if v.ndim == 4 else v
        for k, v in resnet.resnet.state_dict().items()
        if "num_batches" not in k
    }
    path = tmp_path / "start.safetensors"
    save_file(
        state | {"fc.weight": torch.zeros(3, 2048), "fc.bias": torch.zeros(3)},
        path,
        {"strides": "v1", "source": "test"},
    )
    start = describe_pretrained(str(path))
    assert (start.name, start.strides, start.source) == ("start.safetensors", "v1", "test")
    loaded = Encoder(start.strides)
    summary = load_pretrained(loaded.backbone, str(path))
    assert (
        "265 tensors copied" in summary
        and "dropped fc.bias, fc.weight" in summary
        and "53 batch counters" in summary
    )
    torch.testing.assert_close(loaded.resnet.conv1.weight, resnet.resnet.conv1.weight, atol=1e-3, rtol=1e-3)


def test_a_wrong_file_is_refused_with_its_mismatches(resnet, tmp_path):
    state = dict(resnet.resnet.state_dict())
    del state["layer1.0.conv1.weight"]
    state["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    state["backbone.x"] = torch.zeros(1)
    path = tmp_path / "wrong.safetensors"
    save_file(state, path)
    with pytest.raises(PretrainedWeightsError) as refused:
        load_pretrained(Encoder().backbone, str(path))
    for part in (
        "layer1.0.conv1.weight is missing",
        "backbone.x is unknown",
        "conv1.weight is (64, 3, 3, 3), not (64, 3, 7, 7)",
    ):
        assert part in str(refused.value)


@pytest.mark.parametrize("content", [None, b"", b"not tensors at all", b"\x80\x04K\x01."])
def test_other_files_than_safetensors_are_refused(tmp_path, content):
    path = tmp_path / "start.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PretrainedWeightsError, match="no file|not a safetensors file"):
        describe_pretrained(str(path))


def test_a_known_source_is_credited_in_full(tmp_path):
    path = tmp_path / "start.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"source": "lxd-cumt/ABM-SpConv", "strides": "v1"})
    start = describe_pretrained(str(path))
    assert (start.source, start.licence) == ("ImageNet, pruned 8-bit ResNet-50 (lxd-cumt/ABM-SpConv)", "MIT")
    assert with_credits(start) == start
    save_file({"a": torch.zeros(1)}, path, {"source": "mine"})
    assert (describe_pretrained(str(path)).source, describe_pretrained(str(path)).licence) == (
        "mine",
        "see its source",
    )


def test_unknown_strides_are_refused(tmp_path):
    path = tmp_path / "start.safetensors"
    save_file({"a": torch.zeros(1)}, path, {"strides": "v2"})
    with pytest.raises(PretrainedWeightsError, match='only "v1" and "v1.5" exist'):
        describe_pretrained(str(path))


def test_imagenet_weights_are_downloaded_and_failures_reported(resnet, monkeypatch):
    import segmentation_models_pytorch.encoders as smp

    real = smp.get_encoder

    def hub(name, weights):
        if weights is None:
            return real(name, weights=None)
        assert (name, weights) == ("resnet50", "imagenet")
        return resnet.resnet

    monkeypatch.setattr(smp, "get_encoder", hub)
    filled = Encoder(describe_pretrained("imagenet").strides)
    load_pretrained(filled.backbone, "imagenet")
    assert torch.equal(filled.resnet.conv1.weight, resnet.resnet.conv1.weight)

    def unreachable(name, weights):
        raise OSError("no route to host")

    monkeypatch.setattr(smp, "get_encoder", unreachable)
    with pytest.raises(PretrainedWeightsError, match="could not be downloaded"):
        _imagenet("resnet50")
