"""Dataset: the pairs that networks learn from, what their labels are made of, and streets rendered to order."""

import streamlit as st

from pages.parts import balance, browse, decoding, pairs, rendering
from pages.parts.frame import frame, plain
from pages.parts.get_data import more_data, no_data
from seg import dataset
from seg.dataset import DatasetError
from seg.files import why

BROWSE, SHARES, DECODING, RENDER = "Browse", "Class shares", "Decoding", "Render a scene"
"""The views of the page; only the one that is chosen is computed."""


def main() -> None:
    """Draw the page."""
    frame(
        "Dataset", "Look through the photos and labels that networks learn from, see how the labels are read, and render streets."
    )
    view = st.segmented_control(
        "View", [BROWSE, SHARES, DECODING, RENDER], default=BROWSE, required=True, key="data_view", bind="query-params",
        label_visibility="collapsed",
    )  # fmt: skip
    if view == RENDER:
        rendering.draw()
        return
    found = dataset.sets(dataset.FOLDER)
    if not found:
        no_data()
        return
    try:
        chosen = pairs.choose(found, splits_too=view != SHARES)
        {BROWSE: browse.draw, SHARES: balance.draw, DECODING: decoding.draw}[view](chosen)
    except (DatasetError, OSError) as error:
        st.error(plain(why(error)), icon=":material/broken_image:")
    more_data()


main()
