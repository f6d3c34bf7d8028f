"""The skips and upsamplings of a network under the visitor's hands: the mask is made anew from kept scores."""

import time
from typing import get_args

import numpy as np
import streamlit as st

from pages.parts import cached
from pages.parts.viewer import Pane, deflate, pack, present, viewer
from seg import inside, labels, masks, metrics, weights
from seg.fcn import Variant
from seg.networks import STRIDE_OF, TITLES

_FACTORS = {"skip16": "Skip at stride 16, times", "skip8": "Skip at stride 8, times"}
_KINDS = {"upscore2": "Stride 32 → 16", "upscore4": "Stride 16 → 8", "last": "→ full size"}
_HAS = {"32s": ("last",), "16s": ("skip16", "upscore2", "last"), "8s": (*_FACTORS, *_KINDS)}
"""What can be touched of each variant, by the names of `inside.Touch`."""


@st.fragment
def draw(photo: cached.Photo, card: weights.Card, seen: inside.Seen) -> None:
    """Sliders, switches, and what becomes of the mask. Only this part is drawn anew when one of them is moved."""
    variant = card.variants[-1]
    if len(card.variants) > 1:
        variant = st.segmented_control(
            "Network", card.variants, default=variant, required=True, format_func=TITLES.get, key="touched", bind="query-params"
        )
    touch = _wishes(variant)
    trained, _ = _mask(card, seen, variant, inside.Touch())
    made, took = _mask(card, seen, variant, touch)
    changed = made != trained
    height, width = seen.size
    truth = None if photo.truth is None else cached.resized(masks.read_png(photo.truth), (width, height))
    stride, only_changed = STRIDE_OF[variant], np.where(changed, made, labels.IGNORE)
    panes = [
        Pane("photo", "Photo", "photo", shown=False),
        Pane("trained", f"{TITLES[variant]} as trained", "mask", _score(truth, trained), ids=deflate(trained), stride=stride),
        Pane("touched", "Touched", "mask", _score(truth, made), ids=deflate(made), stride=stride),
        Pane("changed", "What changed", "mask", f"{changed.mean():.1%} of the pixels", ids=deflate(only_changed)),
    ]
    shares = masks.shares(trained), masks.shares(made)
    size, picture = (width, height), cached.working_jpeg(photo, (width, height))
    viewer(pack(picture, size, size, panes, present(shares), own=not photo.rendered), key="touched_viewer")
    st.caption(
        f"Made anew from the kept scores in {1000 * took:.0f} ms, at the working resolution of {width} × {height} pixels. The "
        "encoder is not asked again: all that follows the scores is cheap. Turn both skips of FCN-8s to 0 and what is left is "
        "the stride-32 scores, brought up: coarse shapes, and with “nearest” blocks of 32 pixels."
    )


def _mask(card: weights.Card, seen: inside.Seen, variant: Variant, touch: inside.Touch) -> tuple[np.ndarray, float]:
    """The mask, and the seconds that it took."""
    with cached.network(card) as predictor:
        began = time.perf_counter()
        made = inside.climb(inside.fcn_of(predictor), seen.scores, variant, touch)
        return inside.mask_of(made[inside.LAST[variant]], seen.size), time.perf_counter() - began


def _score(truth: np.ndarray | None, mask: np.ndarray) -> str:
    if truth is None:
        return ""
    return f"mean IoU {metrics.scores(metrics.confusion(truth, mask, len(labels.CLASSES), labels.IGNORE)).mean_iou:.2f}"


def _wishes(variant: Variant) -> inside.Touch:
    """What the sliders and switches of a variant say."""
    has = _HAS[variant]
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        said = {
            name: st.slider(label, 0.0, 2.0, 1.0, 0.1, key=f"touch_{name}", width=260)
            for name, label in _FACTORS.items()
            if name in has
        }
        st.button("As trained", icon=":material/undo:", on_click=_reset, help="Puts every slider and switch back.")
    with st.container(horizontal=True, gap="medium"):
        said |= {
            name: st.segmented_control(label, get_args(inside.Upsampling), default="learned", required=True, key=f"touch_{name}")
            for name, label in _KINDS.items()
            if name in has
        }
    return inside.Touch(**said)


def _reset() -> None:
    as_trained = vars(inside.Touch())
    st.session_state.update({f"touch_{name}": value for name, value in as_trained.items()})
