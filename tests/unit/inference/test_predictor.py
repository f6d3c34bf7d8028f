"""Photos become masks, on every device and with every option."""

import time

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from seg.data import scenes
from seg.inference import device
from seg.inference import predictor as predictor_module
from seg.inference.device import DeviceError, pick_device
from seg.inference.predictor import Predictor
from seg.models.fcn import FCN, VARIANTS
from seg.models.registry import DEFAULT_WEIGHTS


@pytest.fixture(scope="module")
def predictor(registry) -> Predictor:
    return Predictor.from_pretrained(DEFAULT_WEIGHTS, "cpu", registry)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(scenes.render_scene(5, 200, 120).photo)


def test_a_prediction_has_the_photo_size_and_all_parts(predictor, photo):
    assert predictor.predict(photo).confidences == {}
    prediction = predictor.predict(photo, with_confidence=True, with_runner_up=True)
    assert list(prediction.masks) == list(prediction.confidences) == ["32s", "16s", "8s"]
    for variant, mask in prediction.masks.items():
        assert mask.shape == prediction.confidences[variant].shape == (120, 200)
        assert mask.dtype == np.uint8 and mask.max() < 19
        assert (
            1 / 19 - 0.01 <= prediction.confidences[variant].min()
            and prediction.confidences[variant].max() <= 1
        )
        sure, second = prediction.runner_ups[variant]
        assert (
            sure.shape == second.shape == prediction.working_size and sure.dtype == second.dtype == np.uint8
        )
        assert second.max() < 19
        entropy = prediction.entropies[variant]
        assert entropy.shape == prediction.working_size and entropy.dtype == np.uint8 and entropy.max() > 0
    assert set(prediction.seconds) == {"decode", "preprocess", "encoder", "heads", "upsampling", "post"}
    assert all(took >= 0 for took in prediction.seconds.values())
    assert prediction.working_size == (115, 192) and prediction.device == "cpu"


def test_a_single_variant_equals_that_of_all_three(predictor, photo):
    together = predictor.predict(photo)
    for variant in ("16s", "8s"):
        alone = predictor.predict(photo, [variant])
        assert list(alone.masks) == [variant]
        assert (alone.masks[variant] == together.masks[variant]).mean() > 0.999


def test_a_temperature_changes_confidences_and_no_mask(predictor, photo):
    def predict(temperatures: dict[str, float], tta: bool = False):
        options = (predictor.model, 96, predictor.device, predictor.bf16, "cover", temperatures)
        resized = Predictor(*options).with_resolution(96, "fit_height")
        return resized.predict(photo, with_confidence=True, with_runner_up=True, tta=tta)

    plain, scaled = predict({}), predict({"8s": 2.0})
    for variant, mask in plain.masks.items():
        np.testing.assert_array_equal(scaled.masks[variant], mask)
        same = np.array_equal(plain.confidences[variant], scaled.confidences[variant])
        assert same == (variant != "8s")
    assert scaled.confidences["8s"].mean() < plain.confidences["8s"].mean()
    assert scaled.entropies["8s"].mean() > plain.entropies["8s"].mean()
    with_tta = [predict(temperatures, tta=True).confidences["8s"] for temperatures in ({}, {"8s": 2.0})]
    np.testing.assert_array_equal(*with_tta)


def test_the_network_is_not_changed_by_use(predictor, photo):
    before = {k: v.clone() for k, v in predictor.model.state_dict().items()}
    predictor.predict(photo)
    assert all(torch.equal(before[k], v) for k, v in predictor.model.state_dict().items())


@pytest.mark.slow
def test_every_shape_of_photo_is_predicted(predictor):
    for size in ((1, 1), (3, 700), (700, 3), (33, 65)):
        for best in (False, True):
            assert predictor.predict(Image.new("RGB", size), tta=best).masks["8s"].shape == size[::-1]


GPU = torch.device("cpu", 0)
"""A device that is the CPU for PyTorch and a GPU for the program."""


def test_a_full_gpu_falls_back_to_the_cpu(registry, predictor, photo, monkeypatch):
    monkeypatch.setattr(predictor_module, "pick_device", lambda name: GPU)
    full, whole = Predictor.from_pretrained(DEFAULT_WEIGHTS, folder=registry), predictor.predict(photo)
    forward = Predictor.forward

    def out_of_memory(self, *arguments):
        if self.device == GPU:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, *arguments)

    fitting = full.predict(photo)
    assert (fitting.note, fitting.device, full.note) == ("", "cpu:0", "")
    monkeypatch.setattr(Predictor, "forward", out_of_memory)
    prediction = full.predict(photo, tta=True)
    [(mask, _)] = full.predict_masks(photo, ["8s"], [(120, 200)])["8s"]
    assert (prediction.note, prediction.device, full.note) == (
        predictor_module.CPU_FALLBACK_NOTE,
        "cpu",
        predictor_module.CPU_FALLBACK_NOTE,
    )
    assert (
        mask == whole.masks["8s"]
    ).mean() > 0.98  # the parameters are those of the GPU, including their rounding
    assert full._on_cpu.model is not full.model and full.device == GPU


def test_a_network_without_gpu_memory_stays_on_cpu(registry, photo, monkeypatch):
    monkeypatch.setattr(predictor_module, "pick_device", lambda name: GPU)
    to = torch.nn.Module.to

    def out_of_memory(self, *arguments, **more):
        if arguments == (GPU,):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return to(self, *arguments, **more)

    monkeypatch.setattr(torch.nn.Module, "to", out_of_memory)
    loaded = Predictor.from_pretrained(DEFAULT_WEIGHTS, folder=registry)
    assert loaded.device == device.CPU and loaded.predict(photo).note == predictor_module.CPU_FALLBACK_NOTE


def test_running_out_of_memory_is_reported(predictor, photo, monkeypatch):
    def out_of_memory(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(predictor.model, "fuse_skips", out_of_memory)
    with pytest.raises(MemoryError, match="choose a lower working height"):
        predictor.predict(photo)


def test_a_missing_device_is_reported(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(DeviceError, match="no CUDA device"):
        pick_device("cuda")


def test_bf16_is_used_where_measured_faster_and_cached(tmp_path, monkeypatch):
    monkeypatch.setenv("SEG_CACHE", str(tmp_path / "cache"))
    cpu, ask, measured = torch.device("cpu"), device.bf16_is_fast.__wrapped__, []
    times = [0.010, 0.005]
    monkeypatch.setattr(
        "seg.inference.device.convolution_seconds", lambda precisions: measured.append(precisions) or times
    )
    assert ask(cpu) and ask(cpu) and len(measured) == 1
    monkeypatch.setattr(
        torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False
    )  # another machine with the same folder
    times = [0.010, 0.030]
    assert not ask(cpu) and not ask(cpu) and len(measured) == 2
    (tmp_path / "cache" / "bf16.json").write_text("{")
    assert not ask(cpu) and len(measured) == 3
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEG_CACHE", str(tmp_path / "file" / "cache"))  # a folder that cannot be written
    assert not ask(cpu) and len(measured) == 4


def test_a_convolution_takes_time_in_either_precision():
    assert all(0 < took < 60 for took in device.convolution_seconds((torch.float32, torch.bfloat16), 1))


def test_logits_in_strips_equal_the_whole(predictor, photo):
    for logits in predictor.logits(photo, VARIANTS).values():
        classes, height, _ = logits.shape
        assert (classes, logits.shape[1:]) == (19, predictor.working_size(photo))
        parts = [logits.rows(top, min(top + 7, height)) for top in range(0, height, 7)]
        torch.testing.assert_close(torch.cat(parts, 1), logits.materialize())


def test_tta_is_the_mean_of_sizes_and_mirrors(predictor, photo):
    plain, best = predictor.predict(photo), predictor.predict(photo, with_confidence=True, tta=True)
    assert list(best.masks) == ["32s", "16s", "8s"] and best.working_size == plain.working_size
    assert 1 / 19 - 0.01 <= best.confidences["8s"].min() and best.confidences["8s"].max() <= 1
    mirrored = predictor.predict(ImageOps.mirror(photo), tta=True)
    same = (mirrored.masks["8s"][:, ::-1] == best.masks["8s"]).mean()
    assert (
        same
        > 0.98
        > (predictor.predict(ImageOps.mirror(photo)).masks["8s"][:, ::-1] == plain.masks["8s"]).mean()
    )


def test_a_batch_gives_the_masks_of_single_photos(predictor):
    photos = [Image.fromarray(scenes.render_scene(seed, 200, 120).photo) for seed in range(4)]
    photos.append(photos[0].resize((400, 240)))  # another size with the same working size
    batch = predictor.predict_batch(photos, ["32s", "8s"], with_confidence=True)
    assert len(batch) == 5
    for photo, together in zip(photos, batch, strict=True):
        alone = predictor.predict(photo, ["32s", "8s"], with_confidence=True)
        assert together.working_size == alone.working_size and list(together.masks) == ["32s", "8s"]
        assert set(together.seconds) == set(alone.seconds) - {"decode"}
        for variant, mask in alone.masks.items():
            np.testing.assert_array_equal(together.masks[variant], mask)
            np.testing.assert_allclose(
                together.confidences[variant],
                alone.confidences[variant],
                atol=1e-4 if predictor.bf16 else 1e-5,
            )
    with pytest.raises(ValueError, match="same working size"):
        predictor.predict_batch([photos[0], Image.new("RGB", (40, 200))])


def test_a_batch_too_large_is_predicted_singly(predictor, photo, monkeypatch):
    forward = Predictor.forward_batch

    def limited(self, images, *arguments):
        if len(images) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return forward(self, images, *arguments)

    monkeypatch.setattr(Predictor, "forward_batch", limited)
    for prediction in predictor.predict_batch([photo, photo], ["8s"]):
        np.testing.assert_array_equal(prediction.masks["8s"], predictor.predict(photo, ["8s"]).masks["8s"])


def test_upsampling_time_is_not_counted_as_masks(predictor, photo, monkeypatch):
    upsampling = FCN(19).fuse_skips(FCN(19).eval().encoder(torch.zeros(1, 3, 32, 32)))["8s"][1]
    forward_rows = type(upsampling).forward_rows

    def slow(*arguments):
        time.sleep(0.2)
        return forward_rows(*arguments)

    monkeypatch.setattr(type(upsampling), "forward_rows", slow)
    for tta, stage, passes in ((False, "post", 1), (True, "averaging", 6)):
        seconds = predictor.predict(photo, ["8s"], tta=tta).seconds
        assert seconds["upsampling"] >= 0.2 * passes and 0 <= seconds[stage] < 0.2 * passes
