"""The New training view: form, existing equivalents, run estimate and start."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from seg import jobs, paths
from seg.data.datasets import list_datasets, split_files
from seg.errors import printable, user_message
from seg.system.durations import format_duration
from seg.training import lifecycle, lineage, run_status
from seg.training.config import TrainConfig, TrainError
from ui.dataset.import_data import import_section, no_data
from ui.shared.permissions import ACTION_ERRORS, NEW, RUNS, allowed, show_error
from ui.shared.text import plain, unique_name
from ui.state.session import session
from ui.state.shared_processes import SharedProcess, run_shared
from ui.training import form

STAGES = ("32s", "16s", "8s")


def new_training() -> None:
    """Draw the view."""
    if not list_datasets(paths.data()):
        no_data()
        return
    st.session_state.setdefault("preset", form.FIRST_PRESET)
    st.pills("Preset", list(form.PRESETS), key="preset", persist_state="session", on_change=apply_preset)
    taken = [printable(run.name) for run in run_status.find_runs(paths.runs())]
    st.session_state.setdefault("new_name", unique_name("fcn", taken))
    left, right = st.columns(2, vertical_alignment="bottom")
    help = printable(f"The run is stored in {paths.runs()}/NAME.")
    left.text_input("Name of the run", key="new_name", persist_state="session", help=help)
    right.toggle(
        "Staged training: FCN-32s → FCN-16s → FCN-8s",
        key="staged",
        persist_state="session",
        help="Three queued runs, each initialized from the previous one, as in Long, Shelhamer and Darrell. "
        "Otherwise all variants share one network.",
    )
    form.draw()
    try:
        configs = requested_configs()
        existing = find_existing(json.dumps(configs[0].to_json()), _five_second_clock())
    except ACTION_ERRORS as error:
        st.error(plain(form.in_form_terms(user_message(error))), icon=":material/error:")
        return
    weights = [training for training in existing if training.kind == "weights"]
    for training in weights or existing:
        show_existing(training)
    enough = run_estimate(configs)
    again = " --again" if existing else ""
    with st.expander("Command line", icon=":material/terminal:"):
        commands = "\n".join(
            jobs.displayed_command(["train", *jobs.train_args(config)]) + again for config in configs
        )
        st.code(commands, language="bash", wrap_lines=True)
    label = "Train again" if existing else "Start training"
    disabled = not (allowed() and enough)
    st.button(label, type="primary", icon=":material/play_arrow:", disabled=disabled, on_click=start_training)
    show_error()
    import_section()


def requested_configs() -> list[TrainConfig]:
    """Return the settings of the requested trainings.

    Raises:
        ACTION_ERRORS: The form is invalid.
    """
    config = form.read(paths.runs() / check_new_name(st.session_state["new_name"]))
    return list(stages(config)) if st.session_state["staged"] else [config]


def check_new_name(name: str) -> str:
    """Return the name of a new run.

    Raises:
        RunError: The name is invalid.
        TrainError: The name is taken.
    """
    run_status.check_name(name)
    if (paths.runs() / name).exists():
        raise TrainError(f"A run named {name} already exists. Choose another name.")
    return name


def stages(config: TrainConfig) -> Iterator[TrainConfig]:
    """Yield the settings of FCN-32s, of FCN-16s initialized from it, and of FCN-8s initialized from that.

    Raises:
        TrainError: The network does not have these variants.
    """
    init_from = config.init_from
    if not set(STAGES) <= set(config.variants):
        raise TrainError(
            "Staged training needs FCN-32s, FCN-16s and FCN-8s. Choose an FCN and all three variants."
        )
    for variant in STAGES:
        out = config.out.with_name(f"{config.out.name}-{variant}")
        encoder = "imagenet" if init_from else config.encoder_weights
        yield replace(config, out=out, variants=(variant,), init_from=init_from, encoder_weights=encoder)
        init_from = str(out)


def start_training() -> None:
    """Start the requested trainings, which queue for the device, and show the first one.

    The form is read again: a number may have been typed since the button was drawn.
    """
    if not allowed():  # the button is disabled, but a client may send the click anyway
        return
    try:
        configs = requested_configs()
        for config in configs:
            jobs.start(config)
    except ACTION_ERRORS as error:
        session()["action_error"] = user_message(error)
        return
    st.session_state.update({"view": RUNS, "run": configs[0].out.name})
    del st.session_state["new_name"]


def show_copy(config: TrainConfig, name: str) -> None:
    """Show the form for a new training with the settings of another one.

    Args:
        config: Settings of the other training.
        name: Its name.
    """
    form.fill(vars(config))
    taken = [printable(run.name) for run in run_status.find_runs(paths.runs())]
    new_name = unique_name(printable(name), taken)
    st.session_state.update({"view": NEW, "new_name": new_name, "staged": False, "preset": None})


def apply_preset() -> None:
    """Fill the form with the chosen preset."""
    name = st.session_state["preset"]
    if name:
        form.fill(form.PRESETS[name])
        st.session_state["staged"] = "staged" in name


@st.cache_data(max_entries=32, show_spinner=False)
def find_existing(config: str, clock: int) -> tuple[lineage.ExistingTraining, ...]:
    """Return existing trainings with the same settings.

    Args:
        config: Settings as JSON.
        clock: A changing number, so that the cache expires.
    """
    return lineage.find_equivalent(TrainConfig.from_json(json.loads(config)), paths.runs())


def _five_second_clock() -> int:
    return int(time.time() // 5)


def show_existing(training: lineage.ExistingTraining) -> None:
    """Show a training with the same settings and a link to it."""
    if training.kind == "weights":
        message = f"Weights with these settings already exist: **{plain(training.name)}**."
        st.success(message, icon=":material/bolt:")
        query = {"weights": training.name}
        st.page_link("app.py", label="Open in Compare", icon=":material/compare:", query_params=query)
        return
    name = printable(Path(training.name).name)
    advice = (
        "is finished. Publish it to use its weights"
        if training.kind == "finished"
        else "is unfinished. Resume it"
    )
    st.success(f"The run **{plain(name)}** has these settings and {advice}.", icon=":material/bolt:")
    st.button(
        "Show run", key=f"show_{name}", on_click=st.session_state.update, args=({"view": RUNS, "run": name},)
    )


def run_estimate(configs: list[TrainConfig]) -> bool:
    """Draw the number of steps and, on demand, the estimated training time and memory.

    Args:
        configs: Settings of the trainings.

    Returns:
        Whether the training can start with these pairs.
    """
    config = configs[0]
    try:
        note = lifecycle.check_pairs(config)
        num_train = len(split_files(config.data, "train")) - config.holdout
    except ACTION_ERRORS as error:
        st.warning(plain(form.in_form_terms(user_message(error))), icon=":material/warning:")
        return False
    if note:
        st.info(plain(note), icon=":material/info:")
    extra = sum(round(share * num_train) for _, share in config.sets[1:])
    steps = max(0, num_train + extra) // config.batch_size * config.epochs * len(configs)
    length = f"{config.minutes * len(configs):g} minutes" if config.minutes else f"{steps:,} steps"
    left, right = st.columns([3, 1], vertical_alignment="center")
    key = json.dumps([config.to_json() for config in configs])
    estimates = session().get("time_estimates", {}).get(key)
    text = f"**{length}** on {num_train:,} samples" + (f" and {extra:,} additional ones" if extra else "")
    if estimates:
        seconds = sum(estimate["seconds"] for estimate in estimates)
        memory = max(estimate["memory_bytes"] for estimate in estimates)
        device = "CPU" if estimates[0]["device"] == "cpu" else "GPU"
        text += (
            f" · estimated **{format_duration(seconds)}** and {memory / 1e9:.1f} GB of memory on the {device}"
        )
    left.markdown(text)
    help = "Estimated training time and memory, measured by training a few steps."
    if right.button(
        "Run estimate", icon=":material/timer:", disabled=not allowed(), width="stretch", help=help
    ):
        try:
            measured = [measure(config)]
        except TrainError as error:
            st.error(plain(form.in_form_terms(str(error))), icon=":material/error:")
            return True
        session()["time_estimates"] = {key: measured * len(configs)}
        st.rerun()
    return True


def measure(config: TrainConfig) -> Mapping[str, Any]:
    """Return the result of ``python -m seg cost`` for a training, from a process that all visitors share.

    Raises:
        TrainError: The command failed.
    """
    arguments, file = jobs.cost_command(config)
    status = st.empty()

    def show(process: SharedProcess | None) -> None:
        waits = process is None
        status.info(
            "Waiting for other work on this server …" if waits else "Training a few steps …",
            icon=":material/hourglass:" if waits else ":material/timer:",
        )

    error = run_shared(arguments, show)
    status.empty()
    if error:
        raise TrainError(error.splitlines()[-1].removeprefix("error "))
    result: dict[str, Any] = json.loads(file.read_text())
    return result
