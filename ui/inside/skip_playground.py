"""The view Edit skip connections: change skip weights and upsampling, and see the mask change."""

import time
from typing import Any, get_args

import numpy as np
import streamlit as st

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import IGNORE
from seg.evaluation import metrics
from seg.evaluation.evaluate import format_score
from seg.inference import mask_io
from seg.interpretability import activations
from seg.models.factory import DISPLAY_NAMES, OUTPUT_STRIDE
from seg.models.model_card import ModelCard
from ui.components.viewer import Pane, deflate, pack, present, viewer
from ui.shared.class_matching import label_in_classes
from ui.shared.pictures import resize_mask, resized_jpeg
from ui.state.model_pool import borrow_model
from ui.state.photos import Photo

_SKIPS = {"skip16": "Weight of the skip at stride 16", "skip8": "Weight of the skip at stride 8"}
_UPSAMPLINGS = {
    "upscore2": "Upsampling, stride 32 → 16",
    "upscore4": "Upsampling, stride 16 → 8",
    "last": "Upsampling to full resolution",
}
_OVERRIDES = {"32s": ("last",), "16s": ("skip16", "upscore2", "last"), "8s": (*_SKIPS, *_UPSAMPLINGS)}
"""Fields of `activations.SkipOverrides` that apply to each variant."""


@st.fragment
def draw(photo: Photo, card: ModelCard, activity: activations.Activations) -> None:
    """Draw controls and masks; a change of a control reruns only this fragment.

    Args:
        photo: The photo.
        card: Card of the weights.
        activity: Activations for the photo.
    """
    variant = card.variants[-1]
    if len(card.variants) > 1:
        variant = st.segmented_control(
            "Network",
            card.variants,
            default=variant,
            required=True,
            format_func=lambda name: DISPLAY_NAMES[name],
            key="touched",
            bind="query-params",
        )
    overrides = _choose_overrides(variant)
    trained, _ = _compute_mask(card, activity, variant, activations.SkipOverrides())
    edited, seconds = _compute_mask(card, activity, variant, overrides)
    draw_masks(photo, card, variant, trained, edited)
    height, width = activity.size
    st.caption(
        f"Computed from cached scores in {1000 * seconds:.0f} ms, at the working resolution of {width} × "
        f"{height} pixels; the encoder does not run again. With both skip weights of FCN-8s at 0, only the "
        "upsampled stride-32 scores remain: coarse shapes, and blocks of 32 pixels with “nearest”."
    )


def draw_masks(photo: Photo, card: ModelCard, variant: str, trained: np.ndarray, edited: np.ndarray) -> None:
    """Draw the mask of a network as trained, the edited mask, and where they differ.

    Args:
        photo: The photo.
        card: Card of the weights.
        variant: Variant of the network.
        trained: H x W train ids at working resolution.
        edited: H x W train ids at working resolution.
    """
    changed = edited != trained
    height, width = trained.shape
    classes, truth = card.class_set, None
    if photo.truth is not None:
        label = label_in_classes(photo.truth, CITYSCAPES, classes)
        truth = resize_mask(mask_io.read_png(label), (width, height))
    stride, only_changed = OUTPUT_STRIDE.get(variant), np.where(changed, edited, IGNORE)
    original = f"{DISPLAY_NAMES[variant]} as trained"
    scores = [_mean_iou(truth, mask, len(classes)) for mask in (trained, edited)]
    panes = [
        Pane("photo", "Photo", "photo", shown=False),
        Pane("trained", original, "mask", scores[0], ids=deflate(trained), stride=stride),
        Pane("touched", "Edited", "mask", scores[1], ids=deflate(edited), stride=stride),
        Pane(
            "changed",
            "Changed pixels",
            "mask",
            f"{changed.mean():.1%} of the pixels",
            ids=deflate(only_changed),
        ),
    ]
    shares = [mask_io.shares(mask, classes) for mask in (trained, edited)]
    size, jpeg = (width, height), resized_jpeg(photo.jpeg, (width, height))
    occurring, own = present(shares, classes), not photo.rendered
    viewer(pack(jpeg, size, size, panes, occurring, own=own, classes=classes), key="touched_viewer")


def _compute_mask(
    card: ModelCard, activity: activations.Activations, variant: str, overrides: activations.SkipOverrides
) -> tuple[np.ndarray, float]:
    """Return the mask (H x W train ids) and the seconds that its computation took."""
    with borrow_model(card, activations=True) as predictor:
        start = time.perf_counter()
        steps = activations.decode_steps(activations.fcn_of(predictor), activity.scores, variant, overrides)
        mask = activations.mask_of(steps[activations.FINAL_UPSAMPLE[variant]], activity.size)
        return mask, time.perf_counter() - start


def _mean_iou(truth: np.ndarray | None, mask: np.ndarray, classes: int) -> str:
    if truth is None:
        return ""
    confusion = metrics.confusion(truth, mask, classes, IGNORE)
    return f"mean IoU {format_score(metrics.compute_metrics(confusion).mean_iou_in_target, 2)}"


def _choose_overrides(variant: str) -> activations.SkipOverrides:
    """Draw the controls that apply to a variant and return their values."""
    names = _OVERRIDES[variant]
    values: dict[str, Any] = {}
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        for name, label in _SKIPS.items():
            if name in names:
                values[name] = st.slider(label, 0.0, 2.0, 1.0, 0.1, key=f"touch_{name}", width=260)
        st.button("Reset", icon=":material/undo:", on_click=_reset, help="Restores the trained network.")
    with st.container(horizontal=True, gap="medium"):
        for name, label in _UPSAMPLINGS.items():
            if name in names:
                modes = get_args(activations.UpsamplingMode)
                values[name] = st.segmented_control(
                    label, modes, default="learned", required=True, key=f"touch_{name}"
                )
    return activations.SkipOverrides(**values)


def _reset() -> None:
    as_trained = vars(activations.SkipOverrides())
    st.session_state.update({f"touch_{name}": value for name, value in as_trained.items()})
