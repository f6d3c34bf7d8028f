"""Networks of others as ONNX files: a small JSON file says what their input and output mean.

NAME.json lies beside NAME.onnx; `ForeignDescription` lists its fields. ONNX Runtime computes the network on
the CPU.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch.nn.functional import interpolate

from seg.data.classes import IGNORE, MAX_CLASSES, ClassSet
from seg.errors import StreetFCNError, printable
from seg.inference.engines import import_package
from seg.system.validation import first_problem

MAX_DESCRIPTION_BYTES = 2**20

Side = Annotated[int, Field(ge=8, le=8192)]
Channels = tuple[float, float, float]


class ForeignModelError(StreetFCNError, ValueError):
    """An ONNX file or its description cannot be used; the message says why."""


class ForeignDescription(BaseModel):
    """The description of an ONNX file.

    Attributes:
        classes: names of the network's classes in the order of its ids; they are matched by name.
        size: height and width of its input.
        model: the ONNX file, relative to the description; by default the file of the same stem.
        name: name of the network; by default that of the ONNX file.
        input: name of its input; by default its only one.
        layout: order of the input's axes.
        channels: order of the input's channels.
        range: the value of white before `mean` and `std` are applied, 1 or 255.
        mean, std: by RGB channel; the input is (value - mean) / std.
        output: name of its output; by default the first.
        kind: whether the output is class scores, 1 x K x h x w, or class ids, 1 x h x w or 1 x 1 x h x w.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    classes: list[str] = Field(min_length=2, max_length=MAX_CLASSES)
    size: tuple[Side, Side] = Field(strict=False)
    model: str = ""
    name: str = Field(default="", max_length=100)
    input: str = ""
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal["RGB", "BGR"] = "RGB"
    range: Literal[1, 255] = 1
    mean: Channels = Field(default=(0.0, 0.0, 0.0), strict=False)
    std: Channels = Field(default=(1.0, 1.0, 1.0), strict=False)
    output: str = ""
    kind: Literal["logits", "ids"] = "logits"

    @model_validator(mode="after")
    def _check(self) -> Self:
        twice = next((name for name in self.classes if self.classes.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"the class {twice} occurs twice")
        if not np.isfinite((*self.mean, *self.std)).all() or min(self.std) <= 0:
            raise ValueError("mean needs three numbers, and std three numbers above 0")
        if not self.name.isprintable():
            raise ValueError("name needs printable characters")
        return self


def read_foreign_description(file: Path) -> ForeignDescription:
    """Read the description of an ONNX file.

    Raises:
        ForeignModelError: if it is missing, damaged or contradicts itself.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_DESCRIPTION_BYTES + 1)
    except OSError as error:
        raise ForeignModelError(
            f"{file} cannot be read: {error.strerror}. An ONNX file needs a JSON description beside it; see"
            " docs/command-line.md."
        ) from None
    if len(content) > MAX_DESCRIPTION_BYTES:
        raise ForeignModelError(f"{file} is too large for a description.")
    try:
        return ForeignDescription.model_validate_json(content)
    except ValidationError as error:
        raise ForeignModelError(
            f"{file} is no description of an ONNX file: {first_problem(error)}."
        ) from None


def list_foreign_models(folder: Path) -> list[Path]:
    """List the ONNX files in a folder that have a description beside them, sorted."""
    return sorted(file for file in folder.glob("*.onnx") if file.with_suffix(".json").is_file())


class ForeignModel:
    """A network of others that segments photos.

    Args:
        file: the ONNX file, or its description.

    Raises:
        ForeignModelError: if the description is missing or damaged, or there is no ONNX file.
    """

    def __init__(self, file: Path) -> None:
        self.description_file = file.with_suffix(".json")
        self.description = read_foreign_description(self.description_file)
        self.file = self.description_file.parent / (self.description.model or file.with_suffix(".onnx").name)
        if not self.file.is_file():
            raise ForeignModelError(
                f"There is no ONNX file {self.file}, which {self.description_file} names."
            )
        self.title = self.description.name or printable(self.file.stem)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the ONNX file and its description."""
        with self.file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        return hashlib.sha256(f"{content} {self.description.model_dump_json()}".encode()).hexdigest()

    def table_to(self, classes: ClassSet) -> np.ndarray:
        """Return 256 uint8: the train id of each of the network's ids, or `IGNORE` for classes that are
        not in `classes`.

        Raises:
            ForeignModelError: if no class has a name of `classes`.
        """
        table = np.full(256, IGNORE, np.uint8)
        for k, name in enumerate(self.description.classes):
            table[k] = classes.train_id.get(name, IGNORE)
        if (table == IGNORE).all():
            raise ForeignModelError(
                f"None of the classes of {self.description_file} has the name of a class of the data:"
                f" {', '.join(classes.names[:5])}{', …' * (len(classes) > 5)}."
            )
        return table

    def mask(self, photo: Image.Image, size: tuple[int, int], classes: ClassSet) -> np.ndarray:
        """Segment a photo.

        Args:
            photo: an RGB photo; it is resized to the input of the network.
            size: height and width of the mask.
            classes: the classes of the mask.

        Returns:
            H x W uint8 train ids; `IGNORE` where the network predicts a class that is not in `classes`.

        Raises:
            ForeignModelError: if the network cannot be computed, or its output is not as described.
        """
        output = self._run(self._to_input(photo))
        table = self.table_to(classes)
        if self.description.kind == "ids":
            return table[self._ids(output, size)]
        scores = self._scores(output)
        logits = interpolate(torch.from_numpy(scores), size, mode="bilinear", align_corners=False)
        return table[logits[0].argmax(0).numpy().astype(np.uint8)]

    def _to_input(self, photo: Image.Image) -> np.ndarray:
        about = self.description
        height, width = about.size
        resized = photo.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        scaled = np.asarray(resized, np.float32) * np.float32(about.range / 255)
        values = ((scaled - np.array(about.mean)) / np.array(about.std)).astype(np.float32)
        if about.channels == "BGR":
            values = values[..., ::-1]
        return np.ascontiguousarray(values if about.layout == "NHWC" else values.transpose(2, 0, 1))[None]

    def _scores(self, output: np.ndarray) -> np.ndarray:
        """Return the output as 1 x K x h x w float32."""
        count = len(self.description.classes)
        if output.ndim == 4 and output.shape[0] == 1 and output.shape[3] == count != output.shape[1]:
            output = output.transpose(0, 3, 1, 2)  # channels last
        if output.ndim != 4 or output.shape[:2] != (1, count) or output.dtype.kind != "f":
            raise ForeignModelError(
                f"The output of {self.file} is {_shape(output)}, but the description has {count} classes:"
                f' class scores are 1 × {count} × height × width. For class ids set "kind" to "ids".'
            )
        return np.ascontiguousarray(output, np.float32)

    def _ids(self, output: np.ndarray, size: tuple[int, int]) -> np.ndarray:
        """Return the output as H x W ids of the network."""
        if output.ndim == 4 and output.shape[1] == 1:
            output = output[:, 0]
        if output.ndim != 3 or output.shape[0] != 1 or output.dtype.kind not in "iu":
            raise ForeignModelError(
                f"The output of {self.file} is {_shape(output)}; class ids are integers, 1 × height × width."
                ' For class scores set "kind" to "logits".'
            )
        count = len(self.description.classes)
        if output.min() < 0 or output.max() >= count:
            raise ForeignModelError(
                f"{self.file} predicts ids from {output.min()} to {output.max()}, but the description has"
                f" {count} classes."
            )
        ids = Image.fromarray(output[0].astype(np.uint8))
        return np.asarray(ids.resize(size[::-1], Image.Resampling.NEAREST))

    def _run(self, values: np.ndarray) -> np.ndarray:
        session, name = self._session
        try:
            return np.asarray(
                session.run([self.description.output] if self.description.output else None, {name: values})[0]
            )
        except Exception as error:  # ONNX Runtime raises many types for what a file cannot compute
            raise ForeignModelError(f"{self.file} cannot be computed: {_first_line(error)}") from None

    @cached_property
    def _session(self) -> tuple[Any, str]:
        """The network in ONNX Runtime and the name of its input, both checked against the description."""
        onnxruntime = import_package("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 4  # its errors are raised as well
        try:
            session = onnxruntime.InferenceSession(
                str(self.file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # as above
            raise ForeignModelError(
                f"{self.file} is no ONNX file that can be used: {_first_line(error)}"
            ) from None
        inputs = {entry.name: entry for entry in session.get_inputs()}
        name = self.description.input or next(iter(inputs), "")
        if name not in inputs or (len(inputs) > 1 and not self.description.input):
            raise ForeignModelError(
                f'{self.file} has the inputs {", ".join(inputs)}: name one of them as "input" in'
                f" {self.description_file}."
            )
        outputs = [entry.name for entry in session.get_outputs()]
        if self.description.output and self.description.output not in outputs:
            raise ForeignModelError(
                f"{self.file} has no output {self.description.output}; it has {', '.join(outputs)}."
            )
        self._check_shape(inputs[name].shape, inputs[name].type)
        return session, name

    def _check_shape(self, shape: list[int | str | None], dtype: str) -> None:
        height, width = self.description.size
        given = (1, height, width, 3) if self.description.layout == "NHWC" else (1, 3, height, width)
        fixed = [isinstance(side, int) for side in shape]
        fits = len(shape) == 4 and all(
            side == value for side, value, known in zip(shape, given, fixed, strict=True) if known
        )
        if not fits or dtype != "tensor(float)":
            wanted = " × ".join(str(side or "?") for side in shape)
            raise ForeignModelError(
                f"The input of {self.file} is {wanted} {dtype.removeprefix('tensor').strip('()')}, but the"
                f' description gives {" × ".join(map(str, given))} float: correct "size" or "layout".'
            )


def _shape(output: np.ndarray) -> str:
    return f"{' × '.join(map(str, output.shape))} {output.dtype}"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
