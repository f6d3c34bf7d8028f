"""The Batch page: many photos, videos, a folder or a zip in; the masks of all of them out."""

import tempfile
from pathlib import Path

import streamlit as st

from seg.inference import upload_batch
from seg.inference.private_dir import remove_stale
from ui.batch import served_files
from ui.batch.processing import delete_batch, process, show_status
from ui.batch.upload import choose_settings, upload_section
from ui.shared.layout import begin_page
from ui.shared.weights_picker import choose_weights
from ui.state.session import session

LOST = (
    "The batch of this tab is no longer on the server: it was restarted, or the connection was interrupted "
    "for more than two minutes. Choose the files again."
)


def main() -> None:
    """Draw the page."""
    begin_page("Batch", "Upload many photos or videos and download the masks of all of them.")
    card = choose_weights(comparable=False)[0]
    settings = choose_settings(card)
    state = session()
    if "batch" in state and not state["batch"].path.is_dir():
        delete_batch()
    if "batch" not in state:
        remove_stale(Path(tempfile.gettempdir()), upload_batch.PREFIX)
        remove_stale(served_files.STATIC)
        if state.get("batch_lost") and not state.get("in_other_tab"):
            st.warning(LOST, icon=":material/delete_sweep:")
        upload_section(settings)
    elif state.get("batch_running"):
        process(state["batch"])
    else:
        show_status(state["batch"], settings)


main()
