"""A street rendered as the visitor wishes, and a whole data set of such streets."""

import io
import time

import streamlit as st
from PIL import Image

from pages.parts import cached, charts, limits, pairs
from pages.parts.frame import plain
from pages.parts.get_data import options, render_set
from pages.parts.viewer import Pane, deflate, pack, present, viewer
from seg import masks, scenes
from seg.scenes import Wishes

SEED = "as the seed has it"
CHOICES = {
    "sky": ("Sky", ("clear", "clouds", "white", "evening", "night")),
    "sides": ("Beside the street", ("facades", "gardens", "park")),
    "wet": ("Wet road", (True, False)),
    "fog": ("Fog: thickness of the air per metre", (0.0, 0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.08)),
    "traffic": ("Traffic: share of the lanes’ places taken", (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)),
    "parked": ("Parked cars: share of the places taken", (0.0, 0.25, 0.5, 0.75, 1.0)),
    "people": ("People on each pavement", (0.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0)),
    "camera": ("Height of the camera in metres", (0.6, 1.0, 1.3, 1.6, 2.0, 3.0, 4.0, 6.0)),
}
"""What is asked of each wish, and the answers that are offered."""


def draw() -> None:
    """Sliders, the street, and the set."""
    left, right = st.columns([1, 3], gap="large")
    with left:
        seed = st.number_input("Seed", 0, 2**31 - 1, 3, key="seed", bind="query-params", help="Each is another street.")
        wishes = Wishes(**{name: _ask(name) for name in CHOICES})
        st.button("As the seed has it in everything", icon=":material/restart_alt:", on_click=_forget, disabled=not wishes)
    with right:
        try:
            show(seed, wishes)
        except limits.LimitError as error:
            st.error(plain(str(error)), icon=":material/hourglass_empty:")
            st.button("Try again", icon=":material/refresh:")
    st.subheader("A data set of such streets", anchor=False)
    st.markdown(
        "Every street has another seed; what you chose above holds for all of them."
        if wishes
        else "Every street has another seed."
    )
    render_set(wishes)


def show(seed: int, wishes: Wishes) -> None:
    """One street, its label, and both to keep. Raises `limits.LimitError`."""
    photo, label, packed, shares, seconds = _scene(seed, options(wishes), wishes)
    viewer(packed, key="scene_viewer")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Photo as PNG", photo, f"scene-{seed}.png", "image/png", key="scene_photo", on_click="ignore",
            icon=":material/download:", help="1024 × 512 pixels.",
        )  # fmt: skip
        st.download_button(
            "Label as PNG", label, f"scene-{seed}.label.png", "image/png", key="scene_label", on_click="ignore",
            icon=":material/download:", help="Indexed, of the photo’s size; the indices are train ids; 255 is ignored.",
        )  # fmt: skip
        st.caption(f"Rendered in {seconds:.1f} s.", width="content")
    with st.expander("Classes", icon=":material/palette:"):
        st.html(charts.legend({"Share of the image": shares}))


def _ask(name: str) -> object:
    """The visitor's wish; None for what is left to the seed."""
    title, answers = CHOICES[name]
    words = {True: "yes", False: "no"}
    kind = st.select_slider if isinstance(answers[0], float) else st.selectbox
    texts = {
        words.get(answer, answer) if isinstance(answer, bool) else answer if isinstance(answer, str) else f"{answer:g}": answer
        for answer in answers
    }
    chosen = kind(title, [SEED, *texts], key=f"wish_{name}", bind="query-params")
    return texts.get(chosen)


def _forget() -> None:
    for name in CHOICES:
        st.session_state[f"wish_{name}"] = SEED


@st.cache_data(max_entries=24, show_spinner="Rendering the street …")
def _scene(seed: int, wished: tuple[str, ...], _wishes: Wishes) -> tuple[bytes, bytes, bytes, dict[str, float], float]:
    """Photo and label as PNGs, what the viewer is sent, the classes' shares, and the seconds that the rendering took."""
    limits.looks().count()
    began = time.perf_counter()
    scene = scenes.render(seed, wishes=_wishes)
    seconds = time.perf_counter() - began
    shares = pairs.shares_of(scene.label)
    size = scene.label.shape[::-1]
    out = io.BytesIO()
    picture = Image.fromarray(scene.photo)
    picture.save(out, "JPEG", quality=92)
    panes = [Pane("photo", "Photo", "photo", "rendered"), Pane("label", "Label", "mask", "exact", ids=deflate(scene.label))]
    packed = pack(out.getvalue(), size, size, panes, present([shares]), own=False)
    return cached.png_of(picture), masks.png(scene.label), packed, shares, seconds
