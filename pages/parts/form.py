"""A form made from the training's settings: one field for each of `TrainConfig`, with the command line's own words."""

import ast
import dataclasses
import inspect
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st

from seg import dataset, runs, weights
from seg.networks import ARCHITECTURES, TITLES
from seg.recipe import TrainConfig, TrainError

FIRST = ("data", "arch", "variants", "encoder_weights", "parent", "epochs", "batch_size", "height", "loss", "seed", "device")
"""The settings that are shown at once; the others wait behind a fold."""

LABELS = {
    "data": "Data set",
    "arch": "Network",
    "encoder_weights": "Encoder starts from",
    "parent": "Go on from",
    "height": "Height of the views",
    "holdout": "Pairs held out",
    "mix": "Mix in",
    "lr": "Learning rate of the scores",
    "encoder_lr": "Learning rate of the encoder",
    "frozen_norm": "Freeze batch-norm",
    "ema": "Running average",
    "clip": "Longest gradient",
    "color": "Light and colour",
    "checkpoint_every": "Steps between checkpoints",
}
"""What a setting is called where its own name would not do."""

PRESETS: dict[str, dict[str, Any]] = {
    "As the command line": {},
    "Five-minute look": {"epochs": 1, "batch_size": 4, "height": 128, "holdout": 20, "color": 0.6, "scale": (0.75, 2.0)},
    "Overnight": {
        **{"epochs": 16, "batch_size": 4, "scale": (0.75, 2.0), "color": 1.0, "class_weights": 0.2, "ema": 0.999},
        "checkpoint_every": 200,
    },
    "Paper: staged 32s → 16s → 8s": {"epochs": 5, "batch_size": 4, "scale": (0.75, 2.0), "color": 0.6, "class_weights": 0.2},
}

FIRST_PRESET = "Five-minute look"

_FIELDS = {field.name: field for field in dataclasses.fields(TrainConfig) if field.name != "out"}
_KINDS = typing.get_type_hints(TrainConfig)
_NOT_BELOW = {"epochs": 1, "batch_size": 1, "height": 32, "warmup": 0, "holdout": 0, "checkpoint_every": 1, "seed": 0}
_STEPS = {"height": 32}


def words() -> dict[str, str]:
    """What each setting means: the text under its field in the class, as ``--help`` prints it."""
    (made,) = ast.parse(inspect.getsource(TrainConfig)).body
    pairs = zip(made.body, made.body[1:], strict=False)
    return {
        field.target.id: text.value.value
        for field, text in pairs
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
    }


def label(name: str) -> str:
    """What a setting is called on the page."""
    return LABELS.get(name, name.replace("_", " ").capitalize())


def in_words(sentence: str) -> str:
    """A refusal that names options -> the same, naming the fields of the form; commands stay as they are."""
    sentence = re.sub(r"\b(it by|with) --resume \S*[^\s.,]", lambda found: "it" if found[1] == "it by" else "with it", sentence)

    def named(found: re.Match) -> str:
        name = found[1].replace("-", "_")
        return f"“{label(name)}”" if name in _FIELDS else found[0]

    return re.sub(r"--([a-z][a-z-]*)", named, sentence)


def fill(values: Mapping[str, Any]) -> None:
    """Sets the form: what is not named gets the command line's default."""
    for name, field in _FIELDS.items():
        st.session_state[_key(name)] = _shown(name, values.get(name, field.default))


def draw() -> None:
    """Draws the form."""
    if _key("epochs") not in st.session_state:
        fill(PRESETS[FIRST_PRESET])
    meaning = words()
    kind = ARCHITECTURES[st.session_state[_key("arch")]]
    chosen = st.session_state[_key("variants")]
    fine = [v for v in chosen if v in kind.variants] or list(kind.variants)
    if fine != chosen:  # what is written here overwrites what is clicked meanwhile
        st.session_state[_key("variants")] = fine
    shown = [name for name in FIRST if name != "variants" or len(kind.variants) > 1]
    for start in range(0, len(shown), 4):
        for place, name in zip(st.columns(4), shown[start : start + 4], strict=False):
            with place:
                _field(name, meaning[name], kind.variants)
    with st.expander("All other settings", icon=":material/tune:"):
        rest = [name for name in _FIELDS if name not in FIRST]
        for start in range(0, len(rest), 4):
            for place, name in zip(st.columns(4), rest[start : start + 4], strict=False):
                with place:
                    _field(name, meaning[name], kind.variants)


def read(out: Path) -> TrainConfig:
    """The form's settings as they stand now. Raises `TrainError` for those that do not go together."""
    values = {name: _meant(name, st.session_state[_key(name)]) for name in _FIELDS}
    if values["parent"]:
        values["encoder_weights"] = _FIELDS["encoder_weights"].default
    _stay_inside(values)
    return TrainConfig(out=out, **values)


def sources() -> list[str]:
    """What a training can go on from: published weights, then runs that are finished or at work."""
    found = runs.find(runs.FOLDER)
    return [
        *weights.names(weights.FOLDER),
        *(str(run) for run in found if runs.see(run).state in ("finished", "running", "queued")),
    ]


def starts() -> list[str]:
    """What an encoder can start from: files lie in the folders of data and runs."""
    files = {f for folder in (dataset.FOLDER, runs.FOLDER) for f in folder.glob("*.safetensors")}
    return ["imagenet", "none", *sorted(map(str, files))]


def _offered() -> dict[str, list[str]]:
    """What can be chosen from of the settings that name something on the disk."""
    return {"data": [str(p) for p in dataset.sets(dataset.FOLDER)], "encoder_weights": starts(), "parent": ["", *sources()]}


def _stay_inside(values: Mapping[str, Any]) -> None:
    """Raises `TrainError` where something was sent that the form does not offer."""
    offered = _offered()
    for name, choices in offered.items():
        if str(values[name]) not in choices:
            raise TrainError(f"{label(name)}: {values[name]} is not among what this form offers.")
    for text in values["mix"]:
        if text.rpartition(":")[0] not in offered["data"]:
            raise TrainError(f"{label('mix')}: {text} is not a data set of this project with its share, as data/scenes:0.1.")


def _field(name: str, help: str, variants: tuple[str, ...]) -> None:
    key, kind, title = _key(name), _KINDS[name], label(name)
    told: dict[str, Any] = {"key": key, "help": help, "persist_state": "session"}
    # a choice that is gone meanwhile, as weights that were deleted, gives way to the first one
    if name in ("data", "encoder_weights", "parent"):
        choices = _offered()
        if st.session_state.get(key) not in choices[name]:
            st.session_state[key] = choices[name][0]
        called = {"imagenet": "ImageNet (downloaded)", "none": "nothing: untrained", "": "nothing: a new network"}
        off = name == "encoder_weights" and bool(st.session_state.get(_key("parent")))
        st.selectbox(title, choices[name], format_func=lambda c: called.get(c, c), disabled=off, **told)
    elif name == "variants":
        st.pills(title, variants, selection_mode="multi", format_func=TITLES.get, **told)
    elif name == "mix":
        st.text_input(title, placeholder="data/scenes:0.1", **told)
    elif name == "scale":
        st.slider(title, 0.25, 4.0, step=0.05, **told)
    elif typing.get_origin(kind) is typing.Literal:
        st.selectbox(title, typing.get_args(kind), **told)
    elif kind is bool:
        st.toggle(title, **told)
    elif kind is int:
        st.number_input(title, min_value=_NOT_BELOW.get(name), step=_STEPS.get(name, 1), **told)
    else:
        step = _FIELDS[name].default / 10 or 0.01
        st.number_input(title, min_value=0.0, format="%g", step=step, **told)


def _meant(name: str, held: Any) -> Any:
    """What its widget holds -> a setting."""
    if name == "data":
        return Path(held)
    if name in ("variants", "scale"):
        return tuple(held)
    if held is None:
        raise TrainError(f"{label(name)} is empty.")
    return tuple(held.split()) if name == "mix" else float(held) if _KINDS[name] is float else held


def _shown(name: str, value: Any) -> Any:
    """A setting as its widget holds it."""
    if name in ("data", "encoder_weights", "parent"):
        return str(value)
    if name == "variants":
        return list(value)
    return " ".join(value) if name == "mix" else value


def _key(name: str) -> str:
    return f"setting_{name}"
