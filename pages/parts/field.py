"""What a pixel sees, and why it is of its class: receptive fields over the photo, and the scores that made a logit."""

import io

import numpy as np
import plotly.graph_objects as go
import streamlit as st
from PIL import Image

from pages.parts import cached, charts
from pages.parts.pictures import Picture, data_url, pictures
from seg import inside, weights
from seg.labels import NAMES, colorize
from seg.networks import TITLES

_HOT = np.array([255, 176, 32], np.float32)

Point = tuple[float, float]
"""In shares (x, y) of the photo."""


def pixel(point: Point, size: tuple[int, int]) -> tuple[int, int]:
    """Row and column at a point of a picture of `size` (height, width)."""
    return tuple(min(side - 1, int(share * side)) for share, side in zip(point[::-1], size, strict=True))


def draw_fields(photo: cached.Photo, card: weights.Card, seen: inside.Seen, point: Point) -> Point | None:
    """The theoretical and the effective receptive field of each variant. Returns the point that was clicked last."""
    at = pixel(point, seen.size)
    with cached.network(card) as predictor:
        model = inside.fcn_of(predictor)
        ends = {v: inside.climb(model, seen.scores, v)[inside.LAST[v]][:, at[0], at[1]] for v in card.variants}
        boxes = {v: inside.theoretical_field(model, v, at, seen.size) for v in card.variants}
    chosen = st.selectbox(
        "Of the logit of", ["the winning class", *NAMES], key="field_class", width=280,
        help="The gradient of this class’s logit at the point is followed back to every pixel of the photo.",
    )  # fmt: skip
    wanted = {v: int(logits.argmax()) if chosen not in NAMES else NAMES.index(chosen) for v, logits in ends.items()}
    with st.spinner("Following the gradient back …", show_time=True):
        fields = cached.fields(photo, card, seen.size[0], at, wanted)
    height, width = seen.size
    street = np.asarray(Image.open(io.BytesIO(cached.working_jpeg(photo, (width, height)))), np.float32)
    shown = []
    for v, field in fields.items():
        box, side = boxes[v], inside.side_holding(field, at)
        shown.append(
            Picture(
                f"{TITLES[v]}: {NAMES[wanted[v]]}",
                f"could see {box.size[1]} × {box.size[0]} pixels; 95 % lies within {side} × {side}",
                data_url(_jpeg(_lit(street, field)), "jpeg"),
                (box.left / width, box.top / height, (box.right + 1) / width, (box.bottom + 1) / height),
            )
        )
    clicked = pictures(shown, point, key="fields")
    st.caption(
        "Click anywhere, or focus a picture and press the arrow keys. The dashed box is the **theoretical** receptive field: all "
        "pixels from which a path of layers leads to this point (Dumoulin, Visin 2016). Orange is the **effective** one: how "
        "much the logit would change with each pixel, its gradient in this very photo. It fades from the middle outwards and "
        "fills only a part of the box (Luo et al. 2016). All three see about as far, since all rest on the stride-32 "
        "scores; the skips add what is near."
    )
    return clicked


def draw_reasons(photo: cached.Photo, card: weights.Card, seen: inside.Seen, point: Point) -> Point | None:
    """What each stride's scores add to the winner's logit and to the runner-up's. Returns the point that was clicked last."""
    at, (height, width) = pixel(point, seen.size), seen.size
    street = Image.open(io.BytesIO(cached.working_jpeg(photo, (width, height))))
    shown, parts = [], {}
    with cached.network(card) as predictor:
        model = inside.fcn_of(predictor)
        for v in card.variants:
            mask = inside.mask_of(inside.climb(model, seen.scores, v)[inside.LAST[v]], seen.size)
            parts[v] = inside.contributions(model, seen.scores, v, at)
            laid = Image.blend(street, Image.fromarray(colorize(mask)), 0.6)
            shown.append(Picture(TITLES[v], NAMES[mask[at]], data_url(_jpeg(np.asarray(laid)), "jpeg")))
    clicked = pictures(shown, point, key="reasons")
    for place, (v, by_stride) in zip(st.columns(len(parts)), parts.items(), strict=True):
        total = sum(by_stride.values())
        winner, second = np.argsort(-total)[:2]
        with place:
            st.markdown(f"**{TITLES[v]}**: {NAMES[winner]} {total[winner]:.2f}, then {NAMES[second]} {total[second]:.2f}")
            st.plotly_chart(
                _bars(by_stride, int(winner), int(second)), config={"displayModeBar": False}, key=f"reasons_{v}",
                alt="What each stride adds to the lead of the winner over the runner-up; the table has the figures.",
            )  # fmt: skip
            st.html(_table(by_stride, int(winner), int(second)))
    st.caption(
        "Click anywhere, or focus a picture and press the arrow keys. After the 1 × 1 scores every step is linear, so a logit is "
        "exactly the sum of what the scores at stride 32, 16 and 8 add to it (Long, Shelhamer, Darrell 2015, section 4). The "
        "lead is the winner’s logit less the runner-up’s: an orange bar spoke for the runner-up."
    )
    return clicked


def _bars(by_stride: dict[int, np.ndarray], winner: int, second: int) -> go.Figure:
    """A waterfall of the lead of one class over another, stride by stride, to the sum."""
    leads = [float(of[winner] - of[second]) for of in by_stride.values()]
    reached = np.cumsum([0.0, *leads])
    room = 0.18 * (np.ptp(reached) or 1)  # for the figures beside the bars
    figure = go.Figure()
    figure.add_waterfall(
        orientation="h",
        measure=["relative"] * len(leads) + ["total"],
        y=[f"stride {stride}" for stride in by_stride] + ["lead"],
        x=[*leads, 0],
        text=[f"{lead:+.2f}" for lead in leads] + [f"{sum(leads):.2f}"],
        textposition="outside",
        increasing={"marker": {"color": "#0d9488"}},
        decreasing={"marker": {"color": "#d97706"}},
        totals={"marker": {"color": "#64748b"}},
        hovertemplate="%{y}: %{text}<extra></extra>",
    )
    return figure.update_layout(
        height=80 + 40 * (len(leads) + 1),
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        showlegend=False,
        xaxis={
            "title": f"for {NAMES[winner]}, against {NAMES[second]}",
            "fixedrange": True,
            "zeroline": True,
            "range": [reached.min() - room, reached.max() + room],
        },
        yaxis={"autorange": "reversed", "fixedrange": True, "ticksuffix": "  "},
    )


def _table(by_stride: dict[int, np.ndarray], winner: int, second: int) -> str:
    rows = {f"stride {stride}": (of[winner], of[second]) for stride, of in by_stride.items()}
    rows["logit"] = tuple(sum(of[k] for of in by_stride.values()) for k in (winner, second))
    return charts.sums(("", NAMES[winner], NAMES[second], "lead"), {name: (a, b, a - b) for name, (a, b) in rows.items()})


def _lit(street: np.ndarray, field: np.ndarray) -> np.ndarray:
    """The photo, dark but for where a field is strong; the square root shows its faint parts too."""
    share = np.sqrt(field / (np.quantile(field, 0.9995) or 1)).clip(0, 1)[..., None]
    return (street * (0.35 + 0.25 * share) * (1 - share * 0.8) + _HOT * share * 0.9).clip(0, 255)


def _jpeg(picture: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()
