"""Published weights as one file that other programs run: ONNX, or PyTorch's own exported program.

Batch, height and width stay free. A parity report sets what such a file answers beside PyTorch. Sources: the documentation of
torch.export and torch.onnx; ONNX, "Open Neural Network Exchange" (onnx.ai).
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from seg import dataset, labels, metrics, preprocess, scenes, weights
from seg.fcn import pad_to_multiple
from seg.networks import Network

Format = Literal["onnx", "torch-export"]
ENDINGS: dict[Format, str] = {"onnx": ".onnx", "torch-export": ".pt2"}

EXTRA = "requirements/export.txt"
"""What ONNX needs besides."""


class ExportError(ValueError):
    """An export that cannot be made; the message says why and what to do."""


class Scores(nn.Module):
    """N x 3 x H x W normalised image of any size -> N x K x H x W fp32 logits of each variant, in their order."""

    given = "image"

    def __init__(self, model: Network, variants: Sequence[str]) -> None:
        super().__init__()
        self.model, self.variants = model, tuple(variants)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        height, width = image.shape[-2:]
        found = self.model.decode(self.model.encoder(pad_to_multiple(image)), self.variants)
        # cut by indices: slices tie torch.export's program to sizes that are multiples of 32, or to those that are none
        rows, columns = torch.arange(height), torch.arange(width)
        return tuple(found[variant].index_select(2, rows).index_select(3, columns) for variant in self.variants)


class Masks(Scores):
    """N x H x W x 3 uint8 RGB at working resolution -> N x H x W uint8 train ids of each variant: preprocessing is inside."""

    given = "photo"
    mean: Tensor
    std: Tensor

    def __init__(self, model: Network, variants: Sequence[str]) -> None:
        super().__init__(model, variants)
        self.register_buffer("mean", torch.tensor(preprocess.MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(preprocess.STD).view(1, 3, 1, 1))

    def forward(self, photo: Tensor) -> tuple[Tensor, ...]:
        image = (photo.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std
        return tuple(logits.argmax(1).to(torch.uint8) for logits in super().forward(image))


def export(name: str, out: Path, form: Format, variants: Sequence[str] = (), photo_in: bool = False) -> Scores:
    """Writes the published weights `name` to the file `out`, whole or not at all. Returns the module that was exported.

    `photo_in` puts the preprocessing inside: `Masks` instead of `Scores`. Raises `ExportError`, and what reading weights raises.
    """
    model, card = weights.load(name)
    wanted = tuple(dict.fromkeys(variants)) or tuple(card.variants)
    missing = [variant for variant in wanted if variant not in card.variants]
    if missing:
        raise ExportError(f"{name} has no {missing[0]}; it has {', '.join(card.variants)}.")
    if out.suffix != ENDINGS[form]:
        raise ExportError(f"A file for {form} ends in {ENDINGS[form]}; {out.name} does not.")
    module = (Masks if photo_in else Scores)(model, wanted).eval()
    example = torch.zeros(2, 90, 150, 3, dtype=torch.uint8) if photo_in else torch.zeros(2, 3, 90, 150)
    free = (
        {1: torch.export.Dim.AUTO, 2: torch.export.Dim.AUTO} if photo_in else {2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    )
    facts = {
        "weights": name,
        "sha256": card.sha256,
        "variants": list(wanted),
        "classes": list(labels.NAMES),
        "working_height": card.working_height,
        "working_rule": card.working_rule,
        "max_side": preprocess.MAX_SIDE,
        "max_pixels": preprocess.MAX_BOXES * preprocess.PAIR_ASPECT * card.working_height**2,
        "licence": card.licence,
    } | ({} if photo_in else {"mean": card.mean, "std": card.std})
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, holding = tempfile.mkstemp(dir=out.parent, prefix=f".{out.name}.", suffix=ENDINGS[form])
    except OSError as error:
        raise ExportError(f"{out} cannot be written ({error.strerror}). Name another file with --out.") from None
    os.close(handle)
    try:
        with torch.no_grad():
            program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim.AUTO, **free},))
        if form == "onnx":
            _write_onnx(program, module, facts, holding)
        else:
            torch.export.save(program, holding, extra_files={"card.json": json.dumps(facts)})
        os.chmod(holding, 0o644)
        os.replace(holding, out)
    finally:
        Path(holding).unlink(missing_ok=True)
    return module


def _write_onnx(program: torch.export.ExportedProgram, module: Scores, facts: dict, file: str) -> None:
    try:
        import onnx
        import onnxscript  # noqa: F401  torch.onnx needs it and says so in other words
    except ImportError as error:
        raise ExportError(f"ONNX needs the package {error.name}: pip install -r {EXTRA}.") from None
    found = torch.onnx.export(program, dynamo=True, input_names=[module.given], output_names=list(module.variants), verbose=False)
    made = found.model_proto  # type: ignore[union-attr]  # None is for dynamo=False
    onnx.helper.set_model_props(
        made, {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    )
    onnx.checker.check_model(made)
    onnx.save(made, file)


def opened(file: Path, form: Format) -> Callable[[np.ndarray], list[np.ndarray]]:
    """An exported file as a function of one array. Raises `ExportError` where ONNX Runtime is not there."""
    if form == "torch-export":
        program = torch.export.load(file).module()
        return lambda given: [out.detach().numpy() for out in program(torch.from_numpy(given))]
    try:
        import onnxruntime
    except ImportError:
        raise ExportError(f"Running ONNX needs the package onnxruntime: pip install -r {EXTRA}.") from None
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda given: session.run(None, {name: given})


@dataclass(frozen=True)
class Parity:
    """What an exported file answers, beside PyTorch in fp32, of one variant over some photos."""

    variant: str
    photos: int
    largest: float | None  # difference of any two logits; None where the file gives masks
    disagreeing: float  # share of the pixels of the working image
    mean_iou: tuple[float, float]  # PyTorch, file: against the labels, at the working resolution


def parity(
    run: Callable[[np.ndarray], list[np.ndarray]],
    module: Scores,
    height: int,
    data: Path | None,
    count: int,
    told: Callable[[int, int], None] | None = None,
) -> tuple[list[Parity], float, float]:
    """Compares `count` photos of val of a data set, or rendered ones.

    Returns a row for each variant, and the median seconds of a photo, PyTorch's and the file's. Raises `dataset.DatasetError`.
    """
    classes, photo_in = len(labels.CLASSES), isinstance(module, Masks)
    confusions = {v: np.zeros((2, classes, classes), np.int64) for v in module.variants}
    differing, largest, pixels = dict.fromkeys(module.variants, 0), dict.fromkeys(module.variants, 0.0), 0
    seconds: tuple[list[float], list[float]] = ([], [])
    pairs = _photos(data, count)
    for done, (photo, label) in enumerate(pairs):
        size = (height, round(height * photo.width / photo.height))
        given = preprocess.to_pixels(photo, size)[None] if photo_in else preprocess.to_image(photo, size).numpy()
        truth = np.array(Image.fromarray(label).resize(size[::-1], Image.Resampling.NEAREST))
        began = time.perf_counter()
        with torch.inference_mode():
            own = [out.numpy() for out in module(torch.from_numpy(given))]
        between = time.perf_counter()
        other = run(given)
        seconds[0].append(between - began)
        seconds[1].append(time.perf_counter() - between)
        pixels += truth.size
        for variant, one, two in zip(module.variants, own, other, strict=True):
            if not photo_in:
                largest[variant] = max(largest[variant], float(np.abs(one - two).max()))
                one, two = one.argmax(1).astype(np.uint8), two.argmax(1).astype(np.uint8)
            differing[variant] += int((one != two).sum())
            for of, mask in zip(confusions[variant], (one, two), strict=True):
                of += metrics.confusion(truth, mask[0], classes, labels.IGNORE)
        if told:
            told(done + 1, count)
    rows = [
        Parity(
            v, len(seconds[0]), None if photo_in else largest[v], differing[v] / pixels,
            (metrics.scores(confusions[v][0]).mean_iou, metrics.scores(confusions[v][1]).mean_iou),
        )
        for v in module.variants
    ]  # fmt: skip
    return rows, float(np.median(seconds[0])), float(np.median(seconds[1]))


def _photos(data: Path | None, count: int) -> Iterator[tuple[Image.Image, np.ndarray]]:
    """Photos before they are resized, with their labels."""
    if data is None:
        for seed in range(9000, 9000 + count):
            scene = scenes.render(seed)
            yield Image.fromarray(scene.photo), scene.label
        return
    split = dataset.load(data, "val")
    for i in range(min(count, len(split))):
        yield preprocess.unsquash(Image.fromarray(split.photos[i])), np.array(split.labels[i])
