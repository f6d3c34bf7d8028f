"""Prediction of a photo: masks, confidences and the time of each stage, for the requested variants."""

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from seg.data import preprocess
from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.data.image_io import read_photo, reduced_from
from seg.inference.device import (
    CPU,
    Device,
    bf16_is_fast,
    lacks_operation,
    out_of_memory,
    pick_device,
)
from seg.inference.engines import Engine, Precision, choose_engine, compile_model
from seg.inference.postprocess import LazyLogits, PhotoMasks, compute_masks, to_mask
from seg.inference.prediction import Prediction
from seg.inference.stage_timer import StageTimer
from seg.inference.tta import predict_with_tta
from seg.models import hub
from seg.models.base import pad_to_multiple
from seg.models.batchnorm import fold_batchnorm
from seg.models.factory import SegmentationModel
from seg.models.registry import load_weights

T = TypeVar("T")
Photo = Image.Image | np.ndarray | bytes | str | Path
"""An RGB picture, its H x W x 3 uint8 pixels, the bytes of a picture file, or the path of one."""

MaskAndConfidence = tuple[np.ndarray, np.ndarray | None]
"""H x W uint8 train ids, and H x W confidence from 0 to 1 or None."""

CPU_FALLBACK_NOTE = "The GPU's memory was not enough; done on the CPU."
MISSING_OPERATION_NOTE = "The GPU lacks an operation that the network needs; done on the CPU."


class Predictor:
    """A network with its device, precision and working resolution; safe for use by several threads.

    If the memory of a GPU is too small for a photo or for the network, or if an Apple GPU lacks an operation,
    the CPU does the work, and `note` says so from then on.

    Args:
        model: the network; it is moved to the device.
        working_height: height in pixels at which a 2:1 photo goes through the network.
        device: the device.
        bf16: whether to compute in bfloat16; by default the faster precision.
        resize_mode: how photos of other shapes are resized.
        temperatures: by variant, what the logits are divided by for confidences and entropies; by default 1.
            Test-time augmentation does not use them, because the mean of its predictions is calibrated
            differently. No mask depends on them.
        classes: the classes of the network.
    """

    def __init__(
        self,
        model: SegmentationModel,
        working_height: int,
        device: torch.device,
        bf16: bool | None = None,
        resize_mode: preprocess.ResizeMode = "cover",
        temperatures: Mapping[str, float] | None = None,
        classes: ClassSet = CITYSCAPES,
    ) -> None:
        self.note = ""
        try:
            model.to(device)
        except RuntimeError as error:
            note = _fallback_note(error)
            if device == CPU or not note:
                raise
            model, device, bf16, self.note = model.to(CPU).float(), CPU, None, note
        self.model = model.to(memory_format=torch.channels_last).eval()
        self.device = device
        self.working_height, self.resize_mode = working_height, resize_mode
        self.classes = classes
        self.temperatures = dict(temperatures or {})
        self.bf16 = bf16_is_fast(device) if bf16 is None else bf16

    @classmethod
    def from_pretrained(
        cls,
        name: str,
        device: Device = "auto",
        folder: Path | None = None,
        precision: Precision = "auto",
        engine: Engine = "torch",
    ) -> "Predictor":
        """Load published weights.

        Args:
            name: a name from `list_weights`, or a repository on the Hugging Face hub, ``owner/name``.
            device: ``auto`` is a GPU if there is one.
            folder: the registry; by default all of `paths.registries()`.
            precision: ``auto`` is the faster one of fp32 and bf16; int8 is for the engines ``onnx`` and
                ``openvino``, after `quantize`.
            engine: what computes encoder and heads; ``auto`` is OpenVINO on a CPU if it is installed.

        Raises:
            WeightsError: if the weights are missing or damaged, or the hub cannot be reached.
            DeviceError: if the device does not exist.
            EngineError: if the engine, the device and the precision do not fit, or a package is missing.
        """
        if hub.is_repository(name):
            name, folder = hub.download(name)
        model, card = load_weights(name, folder)
        selected = pick_device(device)
        engine = choose_engine(engine, selected, precision)
        temperatures = card.calibration and card.calibration["temperature"]
        if engine == "torch":
            bf16 = None if precision == "auto" else precision == "bf16"
            options = (card.working_height, selected, bf16, card.resize_mode, temperatures, card.class_set)
            return cls.for_inference(model, *options)
        compiled = compile_model(model.eval(), card, engine, precision)
        options = (card.working_height, CPU, False, card.resize_mode, temperatures, card.class_set)
        return cls(compiled, *options)

    @classmethod
    def for_inference(
        cls,
        model: SegmentationModel,
        working_height: int,
        device: torch.device,
        bf16: bool | None = None,
        resize_mode: preprocess.ResizeMode = "cover",
        temperatures: Mapping[str, float] | None = None,
        classes: ClassSet = CITYSCAPES,
    ) -> "Predictor":
        """Create a faster predictor by folding batch-norm, which changes the network: it cannot be trained.

        The arguments are those of the class.
        """
        bf16 = bf16_is_fast(device) if bf16 is None else bf16
        fold_batchnorm(model.eval(), torch.bfloat16 if bf16 else torch.float32)
        return cls(model, working_height, device, bf16, resize_mode, temperatures, classes)

    def with_resolution(self, working_height: int, resize_mode: preprocess.ResizeMode) -> "Predictor":
        """Return a predictor that uses the same network at another working resolution."""
        options = (self.device, self.bf16, resize_mode, self.temperatures, self.classes)
        return Predictor(self.model, working_height, *options)

    def with_cpu_fallback(self, work: Callable[["Predictor"], T]) -> T:
        """Call a function with this predictor, and repeat it on the CPU if a GPU cannot do it.

        A GPU may run out of memory, and an Apple GPU may lack an operation.

        Args:
            work: called with the predictor to use.

        Returns:
            The result of `work`.

        Raises:
            MemoryError: with a message for users, if the machine runs out of memory.
        """
        try:
            return work(self)
        except (MemoryError, RuntimeError, TypeError) as error:
            note = _fallback_note(error)
            if not note or (self.device == CPU and not out_of_memory(error)):
                raise
            if self.device == CPU:
                raise MemoryError(
                    "There is not enough memory for this photo: choose a lower working height."
                ) from error
        # outside `except`, because the error keeps the GPU's tensors alive
        self.note = self._on_cpu.note = note
        return self._on_cpu.with_cpu_fallback(work)

    @cached_property
    def _on_cpu(self) -> "Predictor":
        tensors = {id(t): t.detach().cpu() for t in (*self.model.parameters(), *self.model.buffers())}
        parameters = {id(p): nn.Parameter(tensors[id(p)], p.requires_grad) for p in self.model.parameters()}
        # the memo makes deepcopy use the CPU copies: the GPU has no room for copies of its own
        model = copy.deepcopy(self.model, tensors | parameters)
        options = (self.working_height, CPU, None, self.resize_mode, self.temperatures, self.classes)
        return Predictor(model.float(), *options)

    def working_size(
        self,
        photo: Image.Image,
        working_height: int | None = None,
        factor: float = 1.0,
        aspect: float | None = None,
    ) -> tuple[int, int]:
        """Return the height and width in pixels at which a photo goes through the network.

        Args:
            photo: the photo.
            working_height: by default that of the predictor.
            factor: multiple of the working height.
            aspect: width over height of the scene, if the pixels of the photo are not square.
        """
        scaled_height = round((working_height or self.working_height) * factor)
        width = photo.width if aspect is None else round(photo.height * aspect)
        return preprocess.working_size(width, photo.height, scaled_height, self.resize_mode)

    @torch.inference_mode()
    def logits(
        self,
        photo: Image.Image,
        variants: Sequence[str],
        working_height: int | None = None,
        seconds: dict[str, float] | None = None,
        tta: bool = False,
        aspect: float | None = None,
    ) -> dict[str, LazyLogits]:
        """Compute the logits of a photo at working resolution.

        Args:
            photo: an RGB photo.
            variants: the variants to compute.
            working_height: by default that of the predictor.
            seconds: the time of each stage is added here.
            tta: average the probabilities over `TTA_SCALES` and their mirror images, and return the
                logarithms.
            aspect: width over height of the scene, if the pixels of the photo are not square.

        Returns:
            The logits by variant.
        """
        seconds = {} if seconds is None else seconds
        size = self.working_size(photo, working_height, aspect=aspect)
        if not tta:
            return self._single_pass(photo, variants, size, seconds)
        timer = StageTimer(seconds, self.device)

        def predict(view: Image.Image, view_size: tuple[int, int]) -> dict[str, LazyLogits]:
            view_logits = self._single_pass(view, variants, view_size, seconds)
            timer.restart()
            return view_logits

        return predict_with_tta(
            predict,
            photo,
            lambda scale: self.working_size(photo, working_height, scale, aspect),
            lambda: timer.mark("averaging"),
        )

    def _single_pass(
        self, photo: Image.Image, variants: Sequence[str], size: tuple[int, int], seconds: dict[str, float]
    ) -> dict[str, LazyLogits]:
        timer = StageTimer(seconds, self.device)
        image = preprocess.to_image(photo, size, self.device)
        timer.mark("preprocess")
        return self.forward(image, variants, seconds)

    def forward(
        self, image: Tensor, variants: Sequence[str], seconds: dict[str, float] | None = None
    ) -> dict[str, LazyLogits]:
        """Compute the logits of a normalized image.

        Args:
            image: 1 x 3 x H x W, in channels_last on the predictor's device.
            variants: the variants to compute.
            seconds: the time of each stage is added here.

        Returns:
            The logits by variant.
        """
        return self.forward_batch(image, variants, seconds)[0]

    @torch.inference_mode()
    def forward_batch(
        self, images: Tensor, variants: Sequence[str], seconds: dict[str, float] | None = None
    ) -> list[dict[str, LazyLogits]]:
        """Compute the logits of normalized images.

        Args:
            images: N x 3 x H x W, in channels_last on the predictor's device.
            variants: the variants to compute.
            seconds: the time of each stage is added here.

        Returns:
            The logits by variant, for each image.
        """
        seconds = {} if seconds is None else seconds
        timer = StageTimer(seconds, self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            features = self.model.encoder(pad_to_multiple(images))
            timer.mark("encoder")
            fused = self.model.fuse_skips(features, variants)
        timer.mark("heads")
        timer = StageTimer(seconds, self.device)  # of the upsampling, later
        size = images.shape[-2], images.shape[-1]
        return [
            {
                variant: LazyLogits.from_scores(
                    scores[number : number + 1],
                    *(upsampler, size, timer),
                    self.temperatures.get(variant, 1.0),
                )
                for variant, (scores, upsampler) in fused.items()
            }
            for number in range(len(images))
        ]

    def predict_masks(
        self,
        photo: Image.Image,
        variants: Sequence[str],
        sizes: Sequence[tuple[int, int]],
        working_height: int | None = None,
        tta: bool = False,
        with_confidence: bool = False,
        aspect: float | None = None,
    ) -> dict[str, list[MaskAndConfidence]]:
        """Compute masks of a photo at other sizes, for example those of its labels.

        Args:
            photo: an RGB photo.
            variants: the variants to compute.
            sizes: height and width of each mask.
            working_height: by default that of the predictor.
            tta: use test-time augmentation.
            with_confidence: whether to compute the confidences.
            aspect: width over height of the scene, if the pixels of the photo are not square.

        Returns:
            By variant, mask and confidence at each size, as `to_mask` returns them.

        Raises:
            MemoryError: with a message for users, if the machine runs out of memory.
        """

        def work(predictor: Predictor) -> dict[str, list[MaskAndConfidence]]:
            by_variant = predictor.logits(photo, variants, working_height, tta=tta, aspect=aspect)
            return {
                variant: [to_mask(logits, *size, with_confidence) for size in sizes]
                for variant, logits in by_variant.items()
            }

        return self.with_cpu_fallback(work)

    def predict(
        self,
        photo: Photo,
        variants: Sequence[str] | None = None,
        working_height: int | None = None,
        with_confidence: bool = False,
        with_runner_up: bool = False,
        tta: bool = False,
        output_size: tuple[int, int] | None = None,
    ) -> Prediction:
        """Segment a photo.

        Args:
            photo: an RGB picture, its H x W x 3 uint8 pixels, or the bytes or the path of a picture file.
            variants: the variants to compute; by default all.
            working_height: by default that of the predictor.
            with_confidence: whether to compute the confidences.
            with_runner_up: whether to compute runner-up classes, entropies and maximum logits.
            tta: use test-time augmentation, several scales and flips.
            output_size: height and width of smaller masks; their pixels are the nearest ones of the full
                masks.

        Raises:
            PhotoError: if the file cannot be read as a picture.
            MemoryError: with a message for users, if the machine runs out of memory.
        """
        variants = variants or self.model.variants
        options = (variants, working_height, with_confidence, with_runner_up, tta, output_size)
        return self.with_cpu_fallback(lambda predictor: predictor._predict(photo, *options))

    def _predict(
        self,
        photo: Photo,
        variants: Sequence[str],
        working_height: int | None,
        with_confidence: bool,
        with_runner_up: bool,
        tta: bool,
        output_size: tuple[int, int] | None,
    ) -> Prediction:
        seconds: dict[str, float] = {}
        timer = StageTimer(seconds, self.device)
        if not isinstance(photo, Image.Image):
            photo = Image.fromarray(photo) if isinstance(photo, np.ndarray) else read_photo(photo)
        timer.mark("decode")
        logits = self.logits(photo, variants, working_height, seconds, tta)
        timer = StageTimer(seconds, self.device)
        results = compute_masks(
            logits, photo.height, photo.width, with_confidence, with_runner_up, output_size
        )
        timer.mark("post")
        return self._prediction(photo, results, seconds, working_height)

    def predict_batch(
        self,
        photos: Sequence[Image.Image],
        variants: Sequence[str] | None = None,
        working_height: int | None = None,
        with_confidence: bool = False,
    ) -> list[Prediction]:
        """Segment photos of the same working size in one pass of the network.

        If a GPU has too little memory for all of them, they are segmented one after another.

        Args:
            photos: RGB photos.
            variants: the variants to compute; by default all.
            working_height: by default that of the predictor.
            with_confidence: whether to compute the confidences.

        Returns:
            A prediction for each photo; the times are means over the photos.

        Raises:
            ValueError: if the working sizes differ.
            MemoryError: with a message for users, if the machine runs out of memory.
        """
        options = (variants or self.model.variants, working_height, with_confidence)
        if len(photos) > 1:
            try:
                return self._predict_batch(photos, *options)
            except (MemoryError, RuntimeError, TypeError) as error:
                if not _fallback_note(error):
                    raise
        return [self.predict(photo, *options) for photo in photos]

    def _predict_batch(
        self,
        photos: Sequence[Image.Image],
        variants: Sequence[str],
        working_height: int | None,
        with_confidence: bool,
    ) -> list[Prediction]:
        sizes = {self.working_size(photo, working_height) for photo in photos}
        if len(sizes) > 1:
            raise ValueError("photos of one batch need the same working size")
        seconds: dict[str, float] = {}
        timer = StageTimer(seconds, self.device)
        images = preprocess.to_images(photos, sizes.pop(), self.device)
        timer.mark("preprocess")
        by_photo = self.forward_batch(images, variants, seconds)
        timer.restart()
        results = [
            compute_masks(logits, photo.height, photo.width, with_confidence)
            for logits, photo in zip(by_photo, photos, strict=True)
        ]
        timer.mark("post")
        means = {stage: total / len(photos) for stage, total in seconds.items()}
        return [
            self._prediction(photo, result, dict(means), working_height)
            for photo, result in zip(photos, results, strict=True)
        ]

    def _prediction(
        self, photo: Image.Image, results: PhotoMasks, seconds: dict[str, float], working_height: int | None
    ) -> Prediction:
        original = reduced_from(photo)
        return Prediction(
            *results,
            seconds,
            self.working_size(photo, working_height),
            str(self.device),
            self.note if self.device == CPU else "",
            original and (original[1], original[0]),
            self.classes,
        )


def _fallback_note(error: BaseException) -> str:
    """Return the note if the CPU can do what a GPU could not; empty for any other error."""
    if out_of_memory(error):
        return CPU_FALLBACK_NOTE
    return MISSING_OPERATION_NOTE if lacks_operation(error) else ""
