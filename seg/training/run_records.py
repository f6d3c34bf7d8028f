"""Checks of the records in a run's folder: a run may come from elsewhere, or be damaged."""

from typing import Annotated, Any

from pydantic import AllowInfNan, ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic requires it below Python 3.12

_MAX = 2**53
"""Larger counts are no counts: JSON of other programs cannot represent them."""

_Count = Annotated[int, Field(ge=0, le=_MAX)]
_Positive = Annotated[int, Field(ge=1, le=_MAX)]
_Seconds = Annotated[float, Field(ge=0, le=_MAX), AllowInfNan(False)]
_Score = Annotated[float, Field(ge=0, le=1), AllowInfNan(True)] | None

_LENIENT = ConfigDict(extra="allow", strict=True)


@with_config(ConfigDict(extra="forbid", strict=True))
class _Encoder(TypedDict, total=False):
    name: str
    strides: str
    source: str
    licence: str


@with_config(ConfigDict(extra="forbid", strict=True))
class _Teacher(TypedDict):
    name: str
    sha256: str
    licence: str


@with_config(_LENIENT)
class _Config(TypedDict, total=False):
    command: str
    decoder_version: int
    start: _Encoder
    lineage: dict[str, Any] | None
    distilled_from: _Teacher | None
    classes: list[list[Any]]
    behavior: int
    created: _Seconds
    epochs: _Positive
    minutes: _Seconds
    batch_size: _Positive
    holdout: _Count


@with_config(_LENIENT)
class _State(TypedDict, total=False):
    step: _Count
    seconds: _Seconds
    digests: dict[str, str]
    evaluate_every: _Positive
    closing_seconds: _Seconds


@with_config(_LENIENT)
class _Heartbeat(TypedDict, total=False):
    step: _Count
    steps: _Count | None


@with_config(_LENIENT)
class _Publishing(TypedDict, total=False):
    name: str
    what: str
    done: _Count
    total: _Count


@with_config(_LENIENT)
class _Metrics(TypedDict, total=False):
    mean_iou: _Score
    pixel_accuracy: _Score
    iou: dict[str, _Score]


class _RequiredLine(TypedDict):
    step: _Count


@with_config(_LENIENT)
class _Line(_RequiredLine, total=False):
    epoch: _Count
    seconds: _Seconds
    loss: Annotated[float, AllowInfNan(True)]
    lr: Annotated[float, AllowInfNan(False)]


# built once: pages read the records of all runs on every rerun
_CONFIG, _STATE, _LINE = TypeAdapter(_Config), TypeAdapter(_State), TypeAdapter(_Line)
_HEARTBEAT, _PUBLISHING, _METRICS = TypeAdapter(_Heartbeat), TypeAdapter(_Publishing), TypeAdapter(_Metrics)


def config_fault(values: dict[str, Any]) -> str:
    """Return what is wrong with the contents of config.json, as a clause; usually an empty string."""
    return _fault(_CONFIG, values)


def state_fault(values: dict[str, Any]) -> str:
    """Return what is wrong with the state of a checkpoint, as a clause; usually an empty string."""
    return _fault(_STATE, values)


def has_valid_heartbeat(values: dict[str, Any]) -> bool:
    """Return whether the values of a heartbeat have the right types."""
    return not _fault(_HEARTBEAT, values)


def has_valid_progress(values: dict[str, Any]) -> bool:
    """Return whether the values of a publication's status have the right types."""
    return not _fault(_PUBLISHING, values)


def is_metrics_line(value: Any) -> bool:
    """Return whether a line of metrics.jsonl is a record of losses or of an evaluation."""
    if not isinstance(value, dict) or _fault(_LINE, value):
        return False
    if "loss" in value and not {"lr", "seconds"} <= value.keys():
        return False
    return all(not _fault(_METRICS, item) for item in value.values() if isinstance(item, dict))


def _fault(adapter: TypeAdapter, values: Any) -> str:
    try:
        adapter.validate_python(values)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, fault["loc"]))
        return f"{place[:80]}: {fault['msg'].lower()}" if place else fault["msg"].lower()
    return ""
