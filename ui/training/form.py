"""The training form: one widget per setting of `TrainConfig`, with the help texts of the command line."""

import dataclasses
import os
import re
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import annotated_types
import streamlit as st

from seg import paths
from seg.data.datasets import list_datasets
from seg.errors import printable
from seg.models.factory import ARCHITECTURES, DISPLAY_NAMES
from seg.models.registry import list_weights
from seg.system.file_names import is_system_file
from seg.training import run_status
from seg.training.config import SETTINGS, TrainConfig, TrainError

FIRST = (
    *(
        "data",
        "arch",
        "variants",
        "encoder_weights",
        "init_from",
        "epochs",
        "minutes",
        "batch_size",
        "height",
        "loss",
        "seed",
    ),
    "device",
)
"""The settings that are always visible; the others are collapsed."""

LABELS = {
    "data": "Dataset",
    "arch": "Network",
    "encoder_weights": "Encoder weights",
    "init_from": "Initialize from",
    "teacher": "Teacher (distillation)",
    "class_mix": "ClassMix",
    "mixstyle": "MixStyle",
    "amplitude_mix": "Amplitude mixing",
    "minutes": "Minutes (instead of epochs)",
    "height": "Crop height",
    "scale": "Scale range",
    "holdout": "Validation (hold-out) samples",
    "extra_data": "Additional datasets",
    "lr": "Learning rate of the score layers",
    "encoder_lr": "Learning rate of the encoder",
    "freeze_batchnorm": "Freeze batch normalization",
    "ema_decay": "EMA decay",
    "grad_clip_norm": "Gradient clipping",
    "color_jitter": "Color jitter",
    "evaluate_every": "Epochs between evaluations",
    "checkpoint_minutes": "Minutes between checkpoints",
    "checkpoint_every": "Steps between checkpoints",
    "log_with": "Experiment tracker",
}
"""Labels of settings whose own name is not clear enough."""

PRESETS: dict[str, dict[str, Any]] = {
    "CLI defaults": {},
    "Quick test": {
        **{
            "epochs": 1,
            "batch_size": 4,
            "height": 128,
            "holdout": 20,
            "color_jitter": 0.6,
            "scale": (0.75, 2.0),
        },
    },
    "Full training": {
        "epochs": 16,
        "batch_size": 4,
        "scale": (0.75, 2.0),
        "color_jitter": 1.0,
        "class_weights": 0.2,
        "ema_decay": 0.999,
    },
    "Paper: staged 32s → 16s → 8s": {
        "epochs": 5,
        "batch_size": 4,
        "scale": (0.75, 2.0),
        "color_jitter": 0.6,
        "class_weights": 0.2,
    },
}

FIRST_PRESET = "Quick test"

_FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig) if field.name != "out"}
_KINDS = typing.get_type_hints(TrainConfig)
_HELP = {name: field.description or "" for name, field in SETTINGS.items()}
_MINIMUM = {
    name: limit.ge
    for name, field in SETTINGS.items()
    for limit in field.metadata
    if isinstance(limit, annotated_types.Ge)
}
_STEPS = {"height": 32, "minutes": 1.0, "checkpoint_minutes": 1.0}


def label(name: str) -> str:
    """Return the label of a setting."""
    return LABELS.get(name, name.replace("_", " ").capitalize())


def in_form_terms(message: str) -> str:
    """Replace command-line options in an error message by the labels of the form; commands stay unchanged."""
    message = re.sub(r"\b(?:it )?with --resume \S*[^\s.,]", "it", message)

    def to_label(match: re.Match) -> str:
        name = match[1].replace("-", "_")
        return f"“{label(name)}”" if name in _FIELDS else match[0]

    return re.sub(r"--([a-z][a-z-]*)", to_label, message)


def fill(values: Mapping[str, Any], names: Iterable[str] = tuple(_FIELDS)) -> None:
    """Set the form to the given settings and to the command line's defaults for all others.

    Args:
        values: Settings.
        names: Settings to set; by default all.
    """
    defaults = vars(TrainConfig())
    for name in names:
        st.session_state[_key(name)] = _to_widget(name, values.get(name, defaults[name]))


def draw() -> None:
    """Draw the form."""
    # an entry elsewhere may have interrupted the first run of the page before all values were set
    fill(PRESETS[FIRST_PRESET], [name for name in _FIELDS if _key(name) not in st.session_state])
    spec = ARCHITECTURES[st.session_state[_key("arch")]]
    chosen = st.session_state[_key("variants")]
    valid = [v for v in chosen if v in spec.variants] or list(spec.variants)
    if valid != chosen:  # a needless assignment would overwrite a click that happens meanwhile
        st.session_state[_key("variants")] = valid
    _draw_fields([name for name in FIRST if name != "variants" or len(spec.variants) > 1], spec.variants)
    with st.expander("All other settings", icon=":material/tune:"):
        _draw_fields([name for name in _FIELDS if name not in FIRST], spec.variants)


def _draw_fields(names: list[str], variants: tuple[str, ...]) -> None:
    for start in range(0, len(names), 4):
        for column, name in zip(st.columns(4), names[start : start + 4], strict=False):
            with column:
                _draw_field(name, _HELP[name], variants)


def read(out: Path) -> TrainConfig:
    """Return the settings of the form.

    Args:
        out: Folder of the run.

    Raises:
        TrainError: The settings are invalid or do not fit together.
    """
    values = {name: _from_widget(name, st.session_state[_key(name)]) for name in _FIELDS}
    if values["init_from"]:
        values["encoder_weights"] = _FIELDS["encoder_weights"].default
    _check_choices(values)
    return TrainConfig(out=out, **values)


def initial_weights() -> list[str]:
    """Return what a training can be initialized from: published weights, and runs that are not stopped or
    failed."""
    runs, _ = run_status.list_statuses(paths.runs())
    states = ("finished", "running", "queued")
    return [*list_weights(), *(str(run.folder) for run in runs if run.state in states)]


def encoder_weights() -> list[str]:
    """Return the choices of encoder weights: files must be in the folders of data and runs."""
    files = {file for folder in (paths.data(), paths.runs()) for file in folder.glob("*.safetensors")}
    return ["imagenet", "none", *sorted(str(file) for file in files if not is_system_file(file.name))]


def _choices() -> dict[str, list[str]]:
    """Return the choices of the settings that name files or folders."""
    return {
        "data": [str(path) for path in list_datasets(paths.data())],
        "encoder_weights": encoder_weights(),
        "init_from": ["", *initial_weights()],
        "teacher": ["", *list_weights()],
    }


def _check_choices(values: Mapping[str, Any]) -> None:
    """Raise `TrainError` for values that the form does not offer: a client may send others."""
    choices = _choices()
    for name, offered in choices.items():
        if str(values[name]) not in offered:
            raise TrainError(f"{label(name)}: {values[name]} is not one of the choices of this form.")
    for text in values["extra_data"]:
        if text.rpartition(":")[0] not in choices["data"]:
            raise TrainError(
                f"{label('extra_data')}: {text} is not a dataset of this project with a share. Enter for"
                " example data/scenes:0.1."
            )


def _draw_field(name: str, help: str, variants: tuple[str, ...]) -> None:
    key, kind, title = _key(name), _KINDS[name], label(name)
    common: dict[str, Any] = {"key": key, "help": help, "persist_state": "session"}
    if name in ("data", "encoder_weights", "init_from", "teacher"):
        _draw_path_choice(name, title, common)
    elif name == "variants":
        st.pills(title, variants, selection_mode="multi", format_func=lambda v: DISPLAY_NAMES[v], **common)
    elif name == "extra_data":
        st.text_input(title, placeholder="data/scenes:0.1", **common)
    elif name == "scale":
        st.slider(title, 0.25, 4.0, step=0.05, **common)
    elif typing.get_origin(kind) is typing.Literal:
        st.selectbox(title, typing.get_args(kind), **common)
    elif kind is bool:
        st.toggle(title, **common)
    elif kind is int:
        minimum = cast(int | None, _MINIMUM.get(name))
        st.number_input(title, min_value=minimum, step=_STEPS.get(name, 1), **common)
    else:
        step = _STEPS.get(name) or cast(float, _FIELDS[name].default) / 10 or 0.01
        st.number_input(title, min_value=0.0, format="%g", step=step, **common)


def _draw_path_choice(name: str, title: str, common: Mapping[str, Any]) -> None:
    key, choices = _key(name), _choices()[name]
    if st.session_state.get(key) not in choices:  # the chosen file was deleted meanwhile
        st.session_state[key] = choices[0]
    texts = {
        "imagenet": "ImageNet (downloaded)",
        "none": "none (random initialization)",
        "": "none (new network)" if name == "init_from" else "none",
    }
    disabled = name == "encoder_weights" and bool(st.session_state.get(_key("init_from")))
    st.selectbox(
        title,
        choices,
        format_func=lambda choice: texts.get(choice, printable(choice)),
        disabled=disabled,
        **common,
    )


def _from_widget(name: str, value: Any) -> Any:
    """Convert the value of a widget to that of the setting."""
    if name == "data":
        return Path(value)
    if name in ("variants", "scale"):
        return tuple(value)
    if value is None:
        raise TrainError(f"{label(name)} is empty. Enter a value.")
    return tuple(value.split()) if name == "extra_data" else float(value) if _KINDS[name] is float else value


def _to_widget(name: str, value: Any) -> Any:
    """Convert the value of a setting to that of its widget."""
    if name == "data":  # of a run that was started in another working directory
        folder = os.path.realpath(paths.recorded(value))
        choices = _choices()["data"]
        return next((choice for choice in choices if os.path.realpath(choice) == folder), str(value))
    if name in ("encoder_weights", "init_from", "teacher"):
        return str(value)
    if name == "variants":
        return list(value)
    return printable(" ".join(value)) if name == "extra_data" else value


def _key(name: str) -> str:
    return f"setting_{name}"
