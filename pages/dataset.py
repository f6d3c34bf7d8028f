"""The Dataset page: training pairs, their class distribution, label decoding, and rendered scenes."""

import streamlit as st

from seg import paths
from seg.data.datasets import list_datasets
from seg.data.image_set import find_image_set
from seg.data.pairs import DatasetError
from seg.errors import user_message
from ui.dataset import (
    class_distribution,
    description_editor,
    image_set_view,
    label_decoding,
    pair_browser,
    pair_cache,
    scene_renderer,
)
from ui.dataset.import_data import import_section, no_data
from ui.shared.layout import begin_page
from ui.shared.text import plain

BROWSE, FREQUENCIES, DECODING, RENDER = "Browse", "Class frequencies", "Label decoding", "Render a scene"
"""The views of the page; only the chosen one is computed."""


def main() -> None:
    """Draw the page."""
    begin_page(
        "Dataset",
        "Browse training data, inspect how labels are read, import your own, and render synthetic streets.",
    )
    view = st.segmented_control(
        "View",
        [BROWSE, FREQUENCIES, DECODING, RENDER],
        default=BROWSE,
        required=True,
        key="data_view",
        bind="query-params",
        label_visibility="collapsed",
    )
    if view == RENDER:
        scene_renderer.draw()
        return
    datasets = list_datasets(paths.data())
    if not datasets:
        no_data()
        return
    views = {BROWSE: pair_browser.draw, FREQUENCIES: class_distribution.draw, DECODING: label_decoding.draw}
    try:
        chosen = pair_cache.choose_split(datasets, with_split=view != FREQUENCIES)
        image_set = find_image_set(chosen.data)
        if image_set is not None:
            image_set_view.summarize(image_set, chosen)
            if view == DECODING:
                description_editor.draw(image_set)
            else:
                {BROWSE: image_set_view.browse, FREQUENCIES: image_set_view.check}[view](image_set, chosen)
        else:
            if problem := pair_cache.label_problem(chosen):
                st.error(plain(problem), icon=":material/broken_image:")
            if view == BROWSE or not problem:  # the pairs show what is wrong
                views[view](chosen)
    except (DatasetError, OSError) as error:
        st.error(plain(user_message(error)), icon=":material/broken_image:")
    import_section()


main()
