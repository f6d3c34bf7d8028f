"""A network of others beside the published weights: an ONNX file in the server's folder of networks."""

import streamlit as st

from seg import paths
from seg.data.classes import ClassSet
from seg.inference.engines import EngineError
from seg.inference.foreign_model import ForeignModel, ForeignModelError, list_foreign_models
from ui.components.viewer import Pane, deflate
from ui.shared.charts import seconds_text
from ui.shared.text import plain
from ui.state import predictions
from ui.state.photos import Photo
from ui.state.session import forget_unless

ID = "foreign"
"""The id of the pane."""


def choose() -> ForeignModel | None:
    """Draw the choice of a network of others in the sidebar, if the server has any.

    Returns:
        The chosen network; None without one, or if its description cannot be used.
    """
    files = {file.stem: file for file in list_foreign_models(paths.networks())}
    if not files:
        return None
    forget_unless("network", files)
    with st.sidebar:
        chosen = st.selectbox(
            "Network of others",
            list(files),
            index=None,
            key="network",
            bind="query-params",
            placeholder="None",
            help="An ONNX file of the server. Its mask is shown next to those of the weights.",
        )
        if chosen is None:
            return None
        try:
            opened = ForeignModel(files[chosen])
        except ForeignModelError as error:
            st.warning(plain(str(error)), icon=":material/error:")
            return None
        return _kept_open(opened.fingerprint, opened)


@st.cache_resource(max_entries=2, show_spinner=False)
def _kept_open(fingerprint: str, _model: ForeignModel) -> ForeignModel:
    """Return the network that was opened first: it is loaded already."""
    return _model


def pane(photo: Photo, model: ForeignModel, classes: ClassSet, is_awaited: bool) -> Pane | None:
    """Return the pane of a network of others.

    Args:
        photo: The photo.
        model: The network.
        classes: The classes of all masks; pixels of other classes have none.
        is_awaited: Whether the masks of the weights come first.

    Returns:
        The pane; None if the network cannot be computed, which the page then says.

    Raises:
        QueueFullError: Too many photos are waiting.
        LimitError: The visitor has asked for too many predictions.
    """
    if is_awaited:
        return Pane(ID, model.title, "awaited", "computing …")
    try:
        with st.spinner(f"Segmenting with {plain(model.title)} …", show_time=True):
            mask, seconds = predictions.foreign_mask(photo, model, classes)
    except (ForeignModelError, EngineError) as error:
        st.warning(plain(str(error)), icon=":material/error:")
        return None
    return Pane(ID, model.title, "mask", seconds_text(seconds), ids=deflate(mask))
