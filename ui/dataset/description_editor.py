"""Correction of the description of a data set: names, colors, groups, ids and ignored classes."""

import re
from typing import Any

import streamlit as st

from seg.data.description import (
    FILE,
    DatasetDescription,
    parse_description,
    write_description,
)
from seg.data.image_set import ImageSet
from seg.data.pairs import DatasetError
from seg.errors import printable, user_message
from ui.shared.permissions import allowed, show_disabled_reason
from ui.shared.text import plain


def draw(image_set: ImageSet) -> None:
    """Draw a table of the classes that can be edited, and the button that saves the description."""
    described, file = image_set.description, image_set.root / FILE
    saved = file.exists()
    st.caption(
        f"Saved in {plain(printable(str(file)))}."
        if saved
        else f"Not saved yet: the classes follow from the layout or the labels. Save them as {FILE} to keep"
        " names, colors and ignored classes."
    )
    with st.form(f"description-{described.decoding_key()[:2000]}", border=False):
        name = st.text_input("Name", described.name, max_chars=100)
        rows = st.data_editor(
            [_row(c, described) for c in described.classes],
            key="described_classes",
            hide_index=True,
            width="stretch",
            disabled=["color in labels"],
            column_config={
                "ignored": st.column_config.CheckboxColumn(help="Neither trained nor evaluated."),
                "color": st.column_config.TextColumn(help="#rrggbb, in legends and masks."),
                "ids": st.column_config.TextColumn(help="Values in the labels, separated by commas."),
            },
        )
        ignored = st.text_input(
            "Values without a class",
            ", ".join(map(str, described.ignored)),
            help="Ids in the labels that no class has, separated by commas.",
            disabled=described.coding == "colors",
        )
        height = st.number_input(
            "Stored height in pixels",
            64,
            2048,
            described.height,
            64,
            help="Photos and labels are stored for training at most this high; smaller ones keep their size.",
        )
        submitted = st.form_submit_button(
            "Save", type="primary", icon=":material/save:", disabled=not allowed()
        )
    show_disabled_reason()
    if submitted and allowed():
        try:
            changed = _changed(described, name, rows, ignored, int(height))
            write_description(image_set.root, changed)
        except (DatasetError, OSError, ValueError) as error:
            st.error(plain(user_message(error)), icon=":material/error:")
            return
        st.session_state.pop("described_classes", None)
        st.rerun()


def _row(info: Any, described: DatasetDescription) -> dict[str, Any]:
    row = {
        "name": info.name,
        "group": info.group,
        "color": "#{:02x}{:02x}{:02x}".format(*info.color),
        "ids": ", ".join(map(str, info.ids)),
        "ignored": info.ignored,
    }
    if described.coding == "colors":  # the color decides how labels are read
        row["color in labels"] = row.pop("color")
        row.pop("ids")
    return row


def _changed(
    described: DatasetDescription, name: str, rows: list[dict[str, Any]], ignored: str, height: int
) -> DatasetDescription:
    """Return the description with the values of the form.

    Raises:
        DatasetError: They contradict each other.
        ValueError: A color or an id cannot be read.
    """
    classes = []
    for before, row in zip(described.classes, rows, strict=True):
        color = _color(row["color"]) if "color" in row else before.color
        ids = _numbers(row["ids"] or "") if "ids" in row else before.ids
        classes.append(
            {
                "name": (row["name"] or "").strip(),
                "group": (row["group"] or "").strip(),
                "color": list(color),
                "ids": ids,
                "ignored": bool(row["ignored"]),
            }
        )
    values = described.model_dump(mode="json") | {
        "name": name.strip(),
        "classes": classes,
        "ignored": _numbers(ignored) if described.coding == "ids" else described.ignored,
        "height": height,
    }
    return parse_description(DatasetDescription.model_validate(values, strict=False).model_dump_json(), FILE)


def _color(text: str | None) -> tuple[int, ...]:
    if not text or not re.fullmatch(r"#[0-9a-fA-F]{6}", text.strip()):
        raise ValueError(f'"{text}" is no color: write #rrggbb, for example #804080.')
    return tuple(bytes.fromhex(text.strip()[1:]))


def _numbers(text: str) -> list[int]:
    parts = [part for part in re.split(r"[,\s]+", text.strip()) if part]
    wrong = next((part for part in parts if not part.isdecimal()), None)
    if wrong is not None:
        raise ValueError(f'"{wrong}" is no id: write numbers separated by commas.')
    return [int(part) for part in parts]
