"""Photos to masks."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from seg import dataset, predict, scenes
from seg.fcn import VARIANTS
from seg.predict import DeviceError, Predictor, pick_device
from seg.weights import DEFAULT


@pytest.fixture(scope="module")
def predictor(registry) -> Predictor:
    return Predictor.of(DEFAULT, "cpu", registry)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(scenes.render(5, 200, 120).photo)


def test_a_prediction_has_the_photos_size_and_all_its_parts(predictor, photo):
    assert predictor.predict(photo).confidences == {}
    found = predictor.predict(photo, with_confidence=True, with_certainty=True)
    assert list(found.masks) == list(found.confidences) == ["32s", "16s", "8s"]
    for variant, mask in found.masks.items():
        assert mask.shape == found.confidences[variant].shape == (120, 200)
        assert mask.dtype == np.uint8 and mask.max() < 19
        assert 1 / 19 - 0.01 <= found.confidences[variant].min() and found.confidences[variant].max() <= 1
        sure, second = found.certainties[variant]
        assert sure.shape == second.shape == found.working_size and sure.dtype == second.dtype == np.uint8
        assert second.max() < 19
    assert set(found.seconds) == {"decode", "preprocess", "encoder", "heads", "post"}
    assert all(took >= 0 for took in found.seconds.values())
    assert found.working_size == (115, 192) and found.device == "cpu"


def test_variants_asked_for_alone_are_those_of_all_three(predictor, photo):
    together = predictor.predict(photo)
    for variant in ("16s", "8s"):
        alone = predictor.predict(photo, [variant])
        assert list(alone.masks) == [variant]
        assert (alone.masks[variant] == together.masks[variant]).mean() > 0.999


def test_the_network_is_not_changed_by_use(predictor, photo):
    before = {k: v.clone() for k, v in predictor.model.state_dict().items()}
    predictor.predict(photo)
    assert all(torch.equal(before[k], v) for k, v in predictor.model.state_dict().items())


def test_every_shape_of_photo_is_predicted(predictor):
    for size in ((1, 1), (3, 700), (700, 3), (33, 65)):
        for best in (False, True):
            assert predictor.predict(Image.new("RGB", size), best=best).masks["8s"].shape == size[::-1]


GPU = torch.device("cpu", 0)
"""To PyTorch it is the CPU, to the program it is not."""


def test_what_a_gpu_has_no_memory_for_is_done_on_the_cpu_with_a_note(registry, predictor, photo, monkeypatch):
    monkeypatch.setattr(predict, "pick_device", lambda name: GPU)
    full, whole = Predictor.of(DEFAULT, folder=registry), predictor.predict(photo)
    look = Predictor.look

    def hungry(self, *given):
        if self.device == GPU:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return look(self, *given)

    fitting = full.predict(photo)
    assert (fitting.note, fitting.device, full.note) == ("", "cpu:0", "")
    monkeypatch.setattr(Predictor, "look", hungry)
    found, (mask, _) = full.predict(photo, best=True), full.decide(photo, ["8s"], (120, 200))["8s"]
    assert (found.note, found.device, full.note) == (predict.ON_CPU, "cpu", predict.ON_CPU)
    assert (mask == whole.masks["8s"]).mean() > 0.98  # parameters are those of the GPU, rounded as they were there
    assert full._on_cpu.model is not full.model and full.device == GPU


def test_a_network_that_finds_no_room_on_a_gpu_stays_on_the_cpu(registry, photo, monkeypatch):
    monkeypatch.setattr(predict, "pick_device", lambda name: GPU)
    to = torch.nn.Module.to

    def hungry(self, *given, **more):
        if given == (GPU,):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return to(self, *given, **more)

    monkeypatch.setattr(torch.nn.Module, "to", hungry)
    found = Predictor.of(DEFAULT, folder=registry)
    assert found.device == predict.CPU and found.predict(photo).note == predict.ON_CPU


def test_memory_that_runs_out_is_told(predictor, photo, monkeypatch):
    def hungry(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    monkeypatch.setattr(predictor.model, "fuse", hungry)
    with pytest.raises(MemoryError, match="choose a lower working height"):
        predictor.predict(photo)


def test_a_device_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == "cpu"
    with pytest.raises(DeviceError, match="no CUDA device"):
        pick_device("cuda")


def test_bf16_is_used_where_it_was_measured_to_be_faster_and_that_is_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "CACHE", tmp_path / "cache")
    cpu, ask, measured = torch.device("cpu"), predict.bf16_is_fast.__wrapped__, []
    times = [0.010, 0.005]
    monkeypatch.setattr(predict, "convolution_seconds", lambda precisions: measured.append(precisions) or times)
    assert ask(cpu) and ask(cpu) and len(measured) == 1
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True}, raising=False)  # another machine, the same folder
    times = [0.010, 0.030]
    assert not ask(cpu) and not ask(cpu) and len(measured) == 2
    (tmp_path / "cache" / "bf16.json").write_text("{")
    assert not ask(cpu) and len(measured) == 3
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(dataset, "CACHE", tmp_path / "file" / "cache")  # it cannot be written to
    assert not ask(cpu) and len(measured) == 4


def test_a_convolution_takes_time_in_either_precision():
    assert all(0 < took < 60 for took in predict.convolution_seconds((torch.float32, torch.bfloat16), 1))


def test_logits_in_strips_are_those_of_the_whole(predictor, photo):
    for logits in predictor.logits(photo, VARIANTS).values():
        classes, height, _ = logits.shape
        assert (classes, logits.shape[1:]) == (19, predictor.working_size(photo))
        parts = [logits.rows(top, min(top + 7, height)) for top in range(0, height, 7)]
        torch.testing.assert_close(torch.cat(parts, 1), logits.whole())


def test_the_best_quality_is_the_mean_of_sizes_and_mirrors(predictor, photo):
    plain, best = predictor.predict(photo), predictor.predict(photo, with_confidence=True, best=True)
    assert list(best.masks) == ["32s", "16s", "8s"] and best.working_size == plain.working_size
    assert 1 / 19 - 0.01 <= best.confidences["8s"].min() and best.confidences["8s"].max() <= 1
    mirrored = predictor.predict(ImageOps.mirror(photo), best=True)
    same = (mirrored.masks["8s"][:, ::-1] == best.masks["8s"]).mean()
    assert same > 0.98 > (predictor.predict(ImageOps.mirror(photo)).masks["8s"][:, ::-1] == plain.masks["8s"]).mean()
