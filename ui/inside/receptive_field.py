"""The views Receptive field and Logit attribution: what a prediction depends on."""

import io
from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

from seg.data.classes import ClassSet
from seg.interpretability import activations
from seg.interpretability.receptive_field import (
    PixelBox,
    mass_square_side,
    theoretical_field,
    theoretical_unet_field,
)
from seg.interpretability.unet_activations import UNetActivations, unet_of
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import ModelCard
from ui.components.linked_images import Picture, data_url, linked_images
from ui.shared import charts
from ui.shared.pictures import encode_jpeg, resized_jpeg
from ui.shared.text import plain
from ui.state import predictions
from ui.state.model_pool import borrow_model
from ui.state.photos import Photo
from ui.state.session import forget_unless

_HOT = np.array([255, 176, 32], np.float32)

Point = tuple[float, float]
"""Coordinates (x, y) in shares of the photo."""


def pixel(point: Point, size: tuple[int, int]) -> tuple[int, int]:
    """Return row and column of a point in a picture of `size` (height, width)."""
    x, y = point
    height, width = size
    return min(height - 1, int(y * height)), min(width - 1, int(x * width))


def draw_fields(
    photo: Photo, card: ModelCard, activity: predictions.Activations, point: Point
) -> Point | None:
    """Draw the theoretical and the effective receptive field of each variant.

    Returns:
        The point that was clicked last, or None.
    """
    at = pixel(point, activity.size)
    predicted, boxes = _predictions_at(card, activity, at)
    names = card.classes
    forget_unless("field_class", ["the predicted class", *names])
    chosen = st.selectbox(
        "Logit of",
        ["the predicted class", *names],
        key="field_class",
        width=280,
        help="The gradient of this class’s logit at the point with respect to every pixel of the photo.",
    )
    classes = {v: names.index(chosen) if chosen in names else own for v, own in predicted.items()}
    with st.spinner("Computing the gradient …", show_time=True):
        fields = predictions.receptive_fields(photo, card, activity.size[0], at, classes)
    height, width = activity.size
    street = np.asarray(Image.open(io.BytesIO(resized_jpeg(photo.jpeg, (width, height)))), np.float32)
    pictures = []
    for v, field in fields.items():
        box, side = boxes[v], mass_square_side(field, at)
        pictures.append(
            Picture(
                f"{DISPLAY_NAMES[v]}: {names[classes[v]]}",
                f"theoretical {box.size[1]} × {box.size[0]} pixels; 95 % of the gradient within {side} ×"
                f" {side}",
                _jpeg_url(_highlight(street, field)),
                (box.left / width, box.top / height, (box.right + 1) / width, (box.bottom + 1) / height),
            )
        )
    clicked = linked_images(pictures, point, key="fields")
    st.caption(
        "Click a picture, or focus it and use the arrow keys. The dashed box is the **theoretical** "
        "receptive field: all pixels that are connected to this point through the layers (Dumoulin, Visin "
        "2016). Orange is the **effective** receptive field: the gradient of the logit with respect to each "
        "pixel of this photo. It decreases from the center and covers only a part of the box (Luo et al. "
        "2016)." + " The boxes of all variants are similar, since all depend on the stride-32 scores; skip "
        "connections add nearby detail." * (len(fields) > 1)
    )
    return clicked


def _predictions_at(
    card: ModelCard, activity: predictions.Activations, at: tuple[int, int]
) -> tuple[dict[str, int], dict[str, PixelBox]]:
    """Return the predicted class and the theoretical receptive field of each variant at a pixel."""
    with borrow_model(card, activations=True) as predictor:
        if isinstance(activity, UNetActivations):
            [variant] = card.variants
            box = theoretical_unet_field(unet_of(predictor), at, activity.size)
            return {variant: int(activity.masks[()][at])}, {variant: box}
        model = activations.fcn_of(predictor)
        predicted, boxes = {}, {}
        for v in card.variants:
            logits = activations.decode_steps(model, activity.scores, v)[activations.FINAL_UPSAMPLE[v]]
            predicted[v] = int(logits[:, at[0], at[1]].argmax())
            boxes[v] = theoretical_field(model, v, at, activity.size)
        return predicted, boxes


def draw_attribution(
    photo: Photo, card: ModelCard, activity: activations.Activations, point: Point
) -> Point | None:
    """Draw how much each stride contributes to the logits of the predicted class and of the runner-up.

    Returns:
        The point that was clicked last, or None.
    """
    at, (height, width) = pixel(point, activity.size), activity.size
    street = Image.open(io.BytesIO(resized_jpeg(photo.jpeg, (width, height))))
    pictures, attributions = [], {}
    with borrow_model(card, activations=True) as predictor:
        model = activations.fcn_of(predictor)
        for v in card.variants:
            steps = activations.decode_steps(model, activity.scores, v)
            mask = activations.mask_of(steps[activations.FINAL_UPSAMPLE[v]], activity.size)
            attributions[v] = activations.logit_attribution(model, activity.scores, v, at)
            overlay = Image.blend(street, Image.fromarray(card.class_set.colorize(mask)), 0.6)
            pictures.append(Picture(DISPLAY_NAMES[v], card.classes[mask[at]], _jpeg_url(np.asarray(overlay))))
    clicked = linked_images(pictures, point, key="reasons")
    for column, (v, by_stride) in zip(st.columns(len(attributions)), attributions.items(), strict=True):
        total = np.sum(list(by_stride.values()), axis=0)
        winner, runner_up = (int(k) for k in np.argsort(-total)[:2])
        with column:
            st.markdown(
                f"**{DISPLAY_NAMES[v]}**: {plain(card.classes[winner])} {total[winner]:.2f}, runner-up"
                f" {plain(card.classes[runner_up])} {total[runner_up]:.2f}"
            )
            st.plotly_chart(
                _bars(by_stride, winner, runner_up, card.classes),
                config={"displayModeBar": False},
                key=f"reasons_{v}",
                alt="Contribution of each stride to the margin over the runner-up. The table has the values.",
            )
            st.html(_table(by_stride, winner, runner_up, card.class_set))
    st.caption(
        "Click a picture, or focus it and use the arrow keys. All operations after the 1 × 1 score layers "
        "are linear, so a logit is exactly the sum of the contributions of the scores at strides 32, 16 and "
        "8 (Long, Shelhamer, Darrell 2015, section 4). The margin is the logit of the predicted class minus "
        "that of the runner-up; an orange bar favors the runner-up."
    )
    return clicked


def _bars(by_stride: dict[int, np.ndarray], winner: int, runner_up: int, names: Sequence[str]) -> go.Figure:
    """Plot the margin of one class over another as a waterfall, stride by stride."""
    margins = [float(logits[winner] - logits[runner_up]) for logits in by_stride.values()]
    totals = np.cumsum([0.0, *margins])
    room = 0.18 * (np.ptp(totals) or 1)  # for the values next to the bars
    figure = go.Figure()
    figure.add_waterfall(
        orientation="h",
        measure=["relative"] * len(margins) + ["total"],
        y=[f"stride {stride}" for stride in by_stride] + ["margin"],
        x=[*margins, 0],
        text=[f"{margin:+.2f}" for margin in margins] + [f"{sum(margins):.2f}"],
        textposition="outside",
        increasing={"marker": {"color": "#0d9488"}},
        decreasing={"marker": {"color": "#d97706"}},
        totals={"marker": {"color": "#64748b"}},
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
    return figure.update_layout(
        height=80 + 40 * (len(margins) + 1),
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        showlegend=False,
        xaxis={
            "title": escape(f"{names[winner]} minus {names[runner_up]}"),
            "fixedrange": True,
            "zeroline": True,
            "range": [totals.min() - room, totals.max() + room],
        },
        yaxis={"autorange": "reversed", "fixedrange": True, "ticksuffix": "  "},
    )


def _table(by_stride: dict[int, np.ndarray], winner: int, runner_up: int, classes: ClassSet) -> str:
    rows = {f"stride {stride}": (logits[winner], logits[runner_up]) for stride, logits in by_stride.items()}
    rows["logit"] = tuple(sum(logits[k] for logits in by_stride.values()) for k in (winner, runner_up))
    head = ("", classes.names[winner], classes.names[runner_up], "margin")
    return charts.sums(head, {name: (a, b, a - b) for name, (a, b) in rows.items()}, classes)


def _highlight(street: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Darken a photo except where a field is strong; the square root makes faint parts visible."""
    share = np.sqrt(field / (np.quantile(field, 0.9995) or 1)).clip(0, 1)[..., None]
    return (street * (0.35 + 0.25 * share) * (1 - share * 0.8) + _HOT * share * 0.9).clip(0, 255)


def _jpeg_url(pixels: np.ndarray) -> str:
    return data_url(encode_jpeg(Image.fromarray(pixels.astype(np.uint8)), 88), "jpeg")
