"""The Train page: start trainings, monitor and resume runs, and publish their weights."""

import streamlit as st

from seg import paths
from seg.errors import printable
from seg.models.registry import list_weights
from seg.system.folders import broken_links
from seg.training import run_status
from ui.shared.layout import begin_page
from ui.shared.permissions import NEW, PUBLISHED, RUNS, allowed, why_not
from ui.shared.text import plain
from ui.training.new_run import new_training
from ui.training.published_training import show_published
from ui.training.run_monitor import run_table, show


def main() -> None:
    """Draw the page."""
    begin_page(
        "Train",
        "Start a training, monitor it, stop and resume it, and publish its weights for the Compare page.",
    )
    runs = run_status.find_runs(paths.runs())
    if "view" not in st.session_state:
        has_data = any(paths.data().glob("*"))
        st.session_state["view"] = RUNS if runs else NEW if has_data or not list_weights() else PUBLISHED
    view = st.segmented_control(
        "View",
        [RUNS, PUBLISHED, NEW],
        required=True,
        key="view",
        bind="query-params",
        label_visibility="collapsed",
    )
    if not allowed():
        st.info(
            f"Starting or changing trainings from this page is disabled: {why_not()}. Runs can be viewed.",
            icon=":material/lock:",
        )
    for sentence in broken_links(paths.runs()):
        st.warning(plain(sentence), icon=":material/link_off:")
    if view == NEW:
        new_training()
    elif view == PUBLISHED:
        show_published()
    elif runs:
        folders = {printable(folder.name): folder for folder in runs}
        names = list(folders)
        linked = st.query_params.get("run")
        if st.session_state.get("run") not in names:
            st.session_state["run"] = linked if linked in names else names[0]
        name = st.pills(
            "Run", names, key="run", required=True, format_func=plain, label_visibility="collapsed"
        )
        name = name or names[0]
        # not bound: binding would omit a run that was chosen by starting it
        st.query_params["run"] = name
        show(folders[name])
        run_table()
    else:
        st.info(
            "No runs yet. Start one in the view *New training* or on the command line.",
            icon=":material/model_training:",
        )


main()
