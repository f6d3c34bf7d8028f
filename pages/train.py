"""Train: start trainings, watch them, go on with them, and make weights of them."""

import streamlit as st

from pages.parts.begin import new_training
from pages.parts.frame import frame, plain
from pages.parts.watch import everything, show
from pages.parts.wishes import NEW, RUNS, allowed, why_not
from seg import runs


def main() -> None:
    """Draw the page."""
    frame("Train", "Start a training, watch it learn, stop it, go on with it, and make weights of it to compare photos with.")
    found = runs.find(runs.FOLDER)
    if "view" not in st.session_state:
        st.session_state["view"] = RUNS if found else NEW
    view = st.segmented_control("View", [RUNS, NEW], required=True, key="view", bind="query-params", label_visibility="collapsed")
    if not allowed():
        st.info(
            f"Trainings cannot be started or changed from this page: {why_not()}. Runs can be watched.", icon=":material/lock:"
        )
    if view == NEW:
        new_training()
    elif found:
        names = [folder.name for folder in found]
        asked = st.query_params.get("run")
        if st.session_state.get("run") not in names:
            st.session_state["run"] = asked if asked in names else names[0]
        name = st.pills("Run", names, key="run", required=True, format_func=plain, label_visibility="collapsed")
        # not bound: that would leave out a run that was chosen by starting it
        st.query_params["run"] = name
        show(runs.FOLDER / name)
        everything()
    else:
        st.info(
            "There are no runs yet. Start one under *New training*, or on the command line.", icon=":material/model_training:"
        )


main()
