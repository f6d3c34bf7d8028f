"""A photo through the network: masks, confidences and where the time went, for the variants asked for."""

import contextlib
import copy
import json
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn

from seg import dataset, preprocess, weights
from seg.fcn import pad_to_multiple
from seg.files import write_json
from seg.fold import fold
from seg.networks import Network, Upsampling
from seg.photo import read_photo
from seg.preprocess import Logits

Device = Literal["auto", "cpu", "cuda"]
T = TypeVar("T")
CPU = torch.device("cpu")
ON_CPU = "The GPU's memory was not enough; done on the CPU."

BEST = (0.75, 1.0, 1.25)
"""The sizes at which the best quality looks at a photo, as multiples of the working height."""


class DeviceError(ValueError):
    """A device that this machine does not have."""


def out_of_memory(error: BaseException) -> bool:
    """Whether it says that a GPU or the machine has no more memory; PyTorch has no kind of its own for most of these."""
    words = ("out of memory", "allocate memory", "not enough memory", "ALLOC_FAILED")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(each in str(error) for each in words)
    )


def pick_device(name: Device) -> torch.device:
    """``auto`` is the GPU where there is one. Raises `DeviceError` where cuda is asked for and there is none."""
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("This machine has no CUDA device that PyTorch can use. Choose --device cpu, or auto.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@cache
def bf16_is_fast(device: torch.device) -> bool:
    """Whether the device computes faster in bfloat16 than in fp32: GPUs since Ampere; a CPU is measured once and remembered."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    able: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # older PyTorch cannot tell
    kind = ", ".join([platform.machine(), *sorted(k for k, v in able.items() if v is True), f"PyTorch {torch.__version__}"])
    file, known = dataset.CACHE / "bf16.json", {}
    with contextlib.suppress(OSError, ValueError):
        known = json.loads(file.read_text())
    if kind not in known:
        fp32, bf16 = convolution_seconds((torch.float32, torch.bfloat16))
        known[kind] = bf16 < 0.9 * fp32  # it has to be worth its rounding
        with contextlib.suppress(OSError):  # a folder that cannot be written to: measured again next time
            file.parent.mkdir(parents=True, exist_ok=True)
            write_json(file, known)
    return known[kind]


@torch.inference_mode()
def convolution_seconds(precisions: Sequence[torch.dtype], repeats: int = 25) -> list[float]:
    """The least time of one convolution as ResNet-50 has in its middle, on the CPU, in each precision; measured in turns.

    As often as this because others compute too: beside five busy processes, five turns gave a wrong answer once in twelve times.
    """
    least = [float("inf")] * len(precisions)
    for _ in range(repeats):
        for number, precision in enumerate(precisions):
            conv = nn.Conv2d(256, 256, 3, padding=1, dtype=precision).to(memory_format=torch.channels_last)
            given = torch.ones(1, 256, 32, 64, dtype=precision).to(memory_format=torch.channels_last)
            began = time.perf_counter()
            conv(given)
            least[number] = min(least[number], time.perf_counter() - began)
    return least


@dataclass(frozen=True)
class Prediction:
    """What the network says of one photo, at the photo's own size unless another was asked for."""

    masks: dict[str, np.ndarray]  # H x W uint8 train ids
    confidences: dict[str, np.ndarray]  # H x W float16, 0-1; empty if they were not asked for
    certainties: dict[str, tuple[np.ndarray, np.ndarray]]  # `preprocess.certainty`, at working resolution; empty likewise
    seconds: dict[str, float]  # decode, preprocess, encoder, heads, post
    working_size: tuple[int, int]  # height, width
    device: str
    note: str = ""  # a sentence, where it was made otherwise than it should be


class Predictor:
    """A network ready to predict; it is never changed, and several threads may use it at once.

    What a GPU's memory is not enough for, be it the network itself, is done on the CPU: `note` says so from then on.
    """

    def __init__(
        self,
        model: Network,
        working_height: int,
        device: torch.device,
        bf16: bool | None = None,
        rule: preprocess.Rule = "cover",
    ) -> None:
        self.note = ""
        try:
            model.to(device)
        except RuntimeError as error:
            if device == CPU or not out_of_memory(error):
                raise
            model, device, bf16, self.note = model.to(CPU).float(), CPU, None, ON_CPU
        self.model = model.to(memory_format=torch.channels_last).eval()
        self.device = device
        self.working_height, self.rule = working_height, rule
        self.bf16 = bf16_is_fast(device) if bf16 is None else bf16

    @classmethod
    def of(cls, name: str, device: Device = "auto", folder: Path = weights.FOLDER) -> "Predictor":
        """The published weights `name`. Raises `weights.WeightsError` where they are missing or damaged, and `DeviceError`."""
        model, card = weights.load(name, folder)
        return cls.folded(model, card.working_height, pick_device(device), rule=card.working_rule)

    @classmethod
    def folded(
        cls,
        model: Network,
        working_height: int,
        device: torch.device,
        bf16: bool | None = None,
        rule: preprocess.Rule = "cover",
    ) -> "Predictor":
        """Of a network that nobody trains on: it is changed as `fold` does, and is faster for it."""
        bf16 = bf16_is_fast(device) if bf16 is None else bf16
        fold(model.eval(), torch.bfloat16 if bf16 else torch.float32)
        return cls(model, working_height, device, bf16, rule)

    def at(self, working_height: int, rule: preprocess.Rule) -> "Predictor":
        """The same network at another working resolution."""
        return Predictor(self.model, working_height, self.device, self.bf16, rule)

    def within_memory(self, work: Callable[["Predictor"], T]) -> T:
        """What `work` makes with this predictor, or where a GPU's memory is not enough for that, with the same one on the CPU.

        Raises MemoryError, with a sentence, where the machine's memory runs out.
        """
        try:
            return work(self)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if self.device == CPU:
                raise MemoryError("There is not enough memory for this photo: choose a lower working height.") from error
        self.note = ON_CPU  # here, where the error no longer holds what was on the GPU
        return self._on_cpu.within_memory(work)

    @cached_property
    def _on_cpu(self) -> "Predictor":
        tensors = {id(each): each.detach().cpu() for each in (*self.model.parameters(), *self.model.buffers())}
        own = {id(each): nn.Parameter(tensors[id(each)], each.requires_grad) for each in self.model.parameters()}
        model = copy.deepcopy(self.model, tensors | own)  # it takes these for copies: on the GPU there is no room for any
        found = Predictor(model.float(), self.working_height, CPU, rule=self.rule)
        found.note = ON_CPU
        return found

    def working_size(self, photo: Image.Image, working_height: int | None = None, factor: float = 1.0) -> tuple[int, int]:
        """The height and width at which a photo goes through the network."""
        return preprocess.working_size(*photo.size, round((working_height or self.working_height) * factor), self.rule)

    @torch.inference_mode()
    def logits(
        self,
        photo: Image.Image,
        variants: Sequence[str],
        working_height: int | None = None,
        seconds: dict[str, float] | None = None,
        best: bool = False,
    ) -> dict[str, Logits]:
        """RGB photo -> ``{variant: logits}`` at working resolution; adds to `seconds` what each part took.

        `best` averages the probabilities over `BEST` sizes, each also mirrored, and gives their logarithms: slower, and better.
        """
        seconds = {} if seconds is None else seconds
        size = self.working_size(photo, working_height)
        if not best:
            return self._once(photo, variants, size, seconds)
        total: dict[str, Tensor] = {}
        for factor in BEST:
            at = self.working_size(photo, working_height, factor)
            for view, turn in ((photo, False), (ImageOps.mirror(photo), True)):
                found = self._once(view, variants, at, seconds)
                clock = _Clock(seconds, self.device)
                for variant, logits in found.items():
                    brought = F.interpolate(logits.whole()[None], size=size, mode="bilinear", align_corners=False)[0]
                    chance = brought.softmax(0)
                    total[variant] = total.get(variant, 0) + (chance.flip(-1) if turn else chance)
                clock.lap("averaging")
        return {v: Logits.of((chance / (2 * len(BEST))).clamp_(min=1e-9).log_()) for v, chance in total.items()}

    def _once(
        self, photo: Image.Image, variants: Sequence[str], size: tuple[int, int], seconds: dict[str, float]
    ) -> dict[str, Logits]:
        clock = _Clock(seconds, self.device)
        image = preprocess.to_image(photo, size).to(self.device, memory_format=torch.channels_last)
        clock.lap("preprocess")
        return self.look(image, variants, seconds)

    @torch.inference_mode()
    def look(self, image: Tensor, variants: Sequence[str], seconds: dict[str, float] | None = None) -> dict[str, Logits]:
        """1 x 3 x H x W image, in channels_last on the predictor's device -> ``{variant: logits}``."""
        clock = _Clock({} if seconds is None else seconds, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            features = self.model.encoder(pad_to_multiple(image))
            clock.lap("encoder")
            fused = self.model.fuse(features, variants)
        clock.lap("heads")
        height, width = image.shape[-2:]
        return {variant: _logits(scores, upsampling, (height, width)) for variant, (scores, upsampling) in fused.items()}

    def decide(
        self,
        photo: Image.Image,
        variants: Sequence[str],
        size: tuple[int, int],
        working_height: int | None = None,
        best: bool = False,
        with_confidence: bool = False,
    ) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
        """RGB photo -> ``{variant: (mask, confidence)}`` of `size`, height and width, as `preprocess.to_mask` makes them.

        Raises MemoryError as `within_memory` does.
        """

        def work(predictor: Predictor) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
            found = predictor.logits(photo, variants, working_height, best=best)
            return {variant: preprocess.to_mask(logits, *size, with_confidence) for variant, logits in found.items()}

        return self.within_memory(work)

    def predict(
        self,
        photo: Image.Image | bytes | Path,
        variants: Sequence[str] | None = None,
        working_height: int | None = None,
        with_confidence: bool = False,
        with_certainty: bool = False,
        best: bool = False,
        seen_at: tuple[int, int] | None = None,
    ) -> Prediction:
        """A photo, or a picture file -> `Prediction`.

        With `seen_at`, the height and width of a smaller picture of it, masks have only the pixels that this would show.
        Raises `photo.PhotoError` for what is no readable picture, and MemoryError as `within_memory` does.
        """
        asked = (variants or self.model.variants, working_height, with_confidence, with_certainty, best, seen_at)
        return self.within_memory(lambda predictor: predictor._predict(photo, *asked))

    def _predict(
        self,
        photo: Image.Image | bytes | Path,
        variants: Sequence[str],
        working_height: int | None,
        with_confidence: bool,
        with_certainty: bool,
        best: bool,
        seen_at: tuple[int, int] | None,
    ) -> Prediction:
        seconds: dict[str, float] = {}
        clock = _Clock(seconds, self.device)
        if not isinstance(photo, Image.Image):
            photo = read_photo(photo)
        clock.lap("decode")
        logits = self.logits(photo, variants, working_height, seconds, best)
        clock = _Clock(seconds, self.device)
        whole = photo.height, photo.width
        decided, certainties = {}, {}
        for variant, scores in logits.items():
            if with_certainty:
                scores = Logits.of(scores.whole())  # asked for twice: held for one variant at a time
                certainties[variant] = preprocess.certainty(scores)
            decided[variant] = preprocess.to_mask(scores, *whole, with_confidence, seen_at)
        clock.lap("post")
        size = self.working_size(photo, working_height)
        return Prediction(
            {v: mask for v, (mask, _) in decided.items()},
            {v: confidence for v, (_, confidence) in decided.items() if confidence is not None},
            certainties,
            seconds,
            size,
            str(self.device),
            self.note if self.device == CPU else "",
        )


def _logits(scores: Tensor, upsampling: Upsampling, size: tuple[int, int]) -> Logits:
    """The logits of a working image of `size` (height, width) by its 1 x K x h x w scores."""

    @torch.inference_mode()
    def rows(top: int, bottom: int) -> Tensor:
        return upsampling.rows(scores, top, bottom)[0, :, :, : size[1]]

    return Logits((scores.shape[1], *size), rows)


class _Clock:
    def __init__(self, seconds: dict[str, float], device: torch.device) -> None:
        self.seconds, self.device, self.since = seconds, device, time.perf_counter()

    def lap(self, name: str) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self.since
        self.since = now
