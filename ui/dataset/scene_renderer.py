"""The view Render a scene: a street with chosen options, and datasets of such streets."""

import time
from collections.abc import Callable
from typing import Any, cast

import streamlit as st
from PIL import Image

from seg.data import scenes
from seg.data.scenes import SceneOptions
from seg.inference import mask_io
from ui.components.viewer import Pane, deflate, pack, present, viewer
from ui.dataset import pair_cache
from ui.dataset.import_data import option_arguments, render_section
from ui.shared import charts, rate_limit
from ui.shared.pictures import encode_jpeg, encode_png
from ui.shared.text import plain

RANDOM = "random"
"""The choice that leaves an option to the seed."""

CHOICES = {
    "sky": ("Sky", ("clear", "clouds", "white", "evening", "night")),
    "sides": ("Roadside", ("facades", "gardens", "park")),
    "wet": ("Wet road", (True, False)),
    "fog": ("Fog density per meter", (0.0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08)),
    "traffic": ("Traffic: occupied share of the lanes", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    "parked": ("Parked cars: occupied share of the places", (0.0, 0.25, 0.5, 0.75, 1.0)),
    "people": ("People per sidewalk", (0.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0)),
    "camera": ("Camera height in meters", (0.6, 1.0, 1.3, 1.6, 2.0, 3.0, 4.0, 6.0)),
}
"""Label and values of each scene option."""


def draw() -> None:
    """Draw the options, the street and the rendering of a dataset."""
    left, right = st.columns([1, 3], gap="large")
    with left:
        seed = st.number_input(
            "Seed",
            0,
            2**31 - 1,
            3,
            key="seed",
            bind="query-params",
            help="Each seed gives a different street.",
        )
        options = SceneOptions(**{name: cast(Any, _choose_option(name)) for name in CHOICES})
        st.button("Reset options", icon=":material/restart_alt:", on_click=_reset, disabled=not options)
    with right:
        try:
            show(seed, options)
        except rate_limit.LimitError as error:
            st.error(plain(str(error)), icon=":material/hourglass_empty:")
            st.button("Try again", icon=":material/refresh:")
    st.subheader("Render a dataset", anchor=False)
    st.markdown(
        "Every scene has a different seed. The options above apply to all of them."
        if options
        else "Every scene has a different seed."
    )
    render_section(options)


def show(seed: int, options: SceneOptions) -> None:
    """Draw a street and its label with downloads.

    Args:
        seed: Seed of the scene.
        options: Options of the scene.

    Raises:
        LimitError: The visitor has exceeded the rate limit.
    """
    photo, label, payload, shares, seconds = _render(seed, option_arguments(options), options)
    viewer(payload, key="scene_viewer")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Photo as PNG",
            photo,
            f"scene-{seed}.png",
            "image/png",
            key="scene_photo",
            on_click="ignore",
            icon=":material/download:",
            help="1024 × 512 pixels.",
        )
        st.download_button(
            "Label as PNG",
            label,
            f"scene-{seed}.label.png",
            "image/png",
            key="scene_label",
            on_click="ignore",
            icon=":material/download:",
            help="Indexed PNG of the photo’s size. The indices are train ids; 255 is ignored.",
        )
        st.caption(f"Rendered in {seconds:.1f} s.", width="content")
    with st.expander("Classes", icon=":material/palette:"):
        st.html(charts.legend({"Share of the image": shares}))


def _choose_option(name: str) -> object:
    """Draw the choice of an option; return its value, or None if it is left to the seed."""
    label, values = CHOICES[name]
    texts = {_option_text(value): value for value in values}
    widget: Callable[..., str] = cast(Any, st.select_slider if isinstance(values[0], float) else st.selectbox)
    return texts.get(widget(label, [RANDOM, *texts], key=f"wish_{name}", bind="query-params"))


def _option_text(value: str | bool | float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else f"{value:g}"


def _reset() -> None:
    for name in CHOICES:
        st.session_state[f"wish_{name}"] = RANDOM


@st.cache_data(max_entries=24, show_spinner="Rendering the street …")
def _render(
    seed: int, arguments: tuple[str, ...], _options: SceneOptions
) -> tuple[bytes, bytes, bytes, dict[str, float], float]:
    """Return photo and label as PNG, the viewer's message, the class shares, and the rendering time in
    seconds."""
    rate_limit.rate_limiter().count()
    start = time.perf_counter()
    scene = scenes.render_scene(seed, 1024, 512, _options)
    seconds = time.perf_counter() - start
    shares = pair_cache.shares_of(scene.label)
    size = scene.label.shape[::-1]
    picture = Image.fromarray(scene.photo)
    panes = [
        Pane("photo", "Photo", "photo", "rendered"),
        Pane("label", "Label", "mask", "exact", ids=deflate(scene.label)),
    ]
    payload = pack(encode_jpeg(picture, 92), size, size, panes, present([shares]), own=False)
    return encode_png(picture), mask_io.png(scene.label), payload, shares, seconds
