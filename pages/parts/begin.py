"""A new training on the page: the form, what it will cost, whether it is trained already, and the start."""

import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from pages.parts import form
from pages.parts.frame import plain
from pages.parts.get_data import more_data, no_data
from pages.parts.wishes import REFUSALS, RUNS, allowed, free, lasting, refused
from seg import dataset, launch, recipe, runs, weights
from seg.files import why
from seg.recipe import TrainConfig, TrainError


def new_training() -> None:
    """The form, what it will cost, and the start."""
    if not dataset.sets(dataset.FOLDER):
        no_data()
        return
    st.session_state.setdefault("preset", form.FIRST_PRESET)
    st.pills("Begin from", list(form.PRESETS), key="preset", persist_state="session", on_change=take_preset)
    st.session_state.setdefault("new_name", free("fcn", [one.name for one in runs.find(runs.FOLDER)]))
    left, right = st.columns(2, vertical_alignment="bottom")
    help = f"It becomes the folder {runs.FOLDER}/NAME."
    left.text_input("Name of the run", key="new_name", persist_state="session", help=help)
    right.toggle(
        "Staged: FCN-32s first, then FCN-16s from it, then FCN-8s from that", key="staged", persist_state="session",
        help="Three runs in line, as Long, Shelhamer and Darrell trained theirs; else all variants share one network.",
    )  # fmt: skip
    form.draw()
    try:
        configs = wanted()
        already = trained(json.dumps(configs[0].to_json()), _stamp())
    except REFUSALS as error:
        st.error(plain(form.in_words(why(error))), icon=":material/error:")
        return
    made = [one for one in already if one.kind == "weights"]
    for one in made or already:
        offer(one)
    enough = cost(configs)
    again = " --again" if already else ""
    with st.expander("The same on the command line", icon=":material/terminal:"):
        st.code("\n".join(launch.command(one) + again for one in configs), language="bash", wrap_lines=True)
    words = "Train it once more" if already else "Start training"
    st.button(words, type="primary", icon=":material/play_arrow:", disabled=not (allowed() and enough), on_click=begin)
    refused()
    more_data()


def wanted() -> list[TrainConfig]:
    """The trainings that the form asks for. Raises one of `REFUSALS`."""
    config = form.read(runs.FOLDER / named(st.session_state["new_name"]))
    return list(stages(config)) if st.session_state["staged"] else [config]


def named(name: str) -> str:
    """The name of a run to be, if it is one. Raises `RunError` or `TrainError`."""
    runs.check_name(name)
    if (runs.FOLDER / name).exists():
        raise TrainError(f"There is a run named {name} already. Choose another name.")
    return name


def stages(config: TrainConfig) -> Iterator[TrainConfig]:
    """FCN-32s, then 16s from it, then 8s from that. Raises `TrainError` for a network without these variants."""
    parent = config.parent
    if not {"32s", "16s", "8s"} <= set(config.variants):
        raise TrainError("Staged training takes FCN-32s, FCN-16s and FCN-8s: choose a network that has them, and all three.")
    for variant in ("32s", "16s", "8s"):
        out = config.out.with_name(f"{config.out.name}-{variant}")
        start = "imagenet" if parent else config.encoder_weights
        yield replace(config, out=out, variants=(variant,), parent=parent, encoder_weights=start)
        parent = str(out)


def begin() -> None:
    """Starts the trainings, one after the other in line, and shows the first.

    The form is read again: a number may have been typed since the button was drawn.
    """
    if not allowed():  # nobody is offered it, but somebody may send it all the same
        return
    try:
        configs = wanted()
        for config in configs:
            launch.start(config)
    except REFUSALS as error:
        st.session_state["refused"] = why(error)
        return
    st.session_state.update({"view": RUNS, "run": configs[0].out.name})
    del st.session_state["new_name"]


def take_preset() -> None:
    """Fills the form with a preset."""
    name = st.session_state["preset"]
    if name:
        form.fill(form.PRESETS[name])
        st.session_state["staged"] = "staged" in name


@st.cache_data(max_entries=32, show_spinner=False)
def trained(config: str, _stamp_of_all: float) -> tuple[recipe.Trained, ...]:
    """What was trained by this very recipe."""
    return recipe.trained(TrainConfig.from_json(json.loads(config)), runs.FOLDER, weights.FOLDER)


def _stamp() -> int:
    """Changes with time, slowly: what is trained already is looked up anew."""
    return int(time.time() // 5)


def offer(one: recipe.Trained) -> None:
    """A recipe that is trained already: what came of it, at once."""
    if one.kind == "weights":
        st.success(f"This recipe is trained already: the weights **{plain(one.name)}** came of it.", icon=":material/bolt:")
        st.page_link("app.py", label="Compare photos with them", icon=":material/compare:", query_params={"weights": one.name})
        return
    name = Path(one.name).name
    words = "is trained already: publish it to use it" if one.kind == "finished" else "was begun already: go on with it"
    st.success(f"This recipe {words}, in the run **{plain(name)}**.", icon=":material/bolt:")
    st.button("Show it", key=f"show_{name}", on_click=st.session_state.update, args=({"view": RUNS, "run": name},))


def cost(configs: list[TrainConfig]) -> bool:
    """How many steps it will be, and on a wish how long they take and what memory, measured. Whether there are enough pairs."""
    config = configs[0]
    pairs = [len(dataset.find(folder, "train")) for folder, _ in config.sets]
    kept = pairs[0] - config.holdout
    extra = sum(round(share * kept) for _, share in config.sets[1:])
    if kept < config.batch_size:
        st.warning(
            f"{plain(str(config.data))} has {pairs[0]:,} pairs to train on. With {config.holdout:,} held out, less than a batch "
            f"of {config.batch_size:,} is left: choose a smaller “{form.label('holdout')}” or “{form.label('batch_size')}”.",
            icon=":material/warning:",
        )
        return False
    steps = max(0, kept + extra) // config.batch_size * config.epochs * len(configs)
    left, right = st.columns([3, 1], vertical_alignment="center")
    key = json.dumps([one.to_json() for one in configs])
    measured = st.session_state.get("cost", {}).get(key)
    said = f"**{steps:,} steps** on {kept:,} pairs" + (f" and {extra:,} mixed in" if extra else "")
    if measured:
        seconds = sum(one["seconds"] for one in measured)
        most = max(one["memory_bytes"] for one in measured)
        where = "GPU" if measured[0]["device"] == "cuda" else "CPU"
        said += f" · about **{lasting(seconds)}** · {most / 1e9:.1f} GB of memory · on the {where}"
    left.markdown(said)
    if right.button("Measure what it will cost", icon=":material/timer:", disabled=not allowed(), width="stretch"):
        try:
            with st.spinner("Training a few steps to see …"):
                found = [measure(one) for one in configs[:1]]
        except TrainError as error:
            st.error(plain(form.in_words(str(error))), icon=":material/error:")
            return True
        st.session_state["cost"] = {key: found * len(configs)}
        st.rerun()
    return True


def measure(config: TrainConfig) -> Mapping[str, Any]:
    """What ``python -m seg cost`` says of a training. Raises `TrainError` with its words where it fails."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "cost.json"
        options = shlex.split(launch.command(config))[4:]
        command = [sys.executable, "-m", "seg", "cost", *options, "--json", str(answer)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise TrainError(done.stderr.strip().splitlines()[-1].removeprefix("error ") if done.stderr.strip() else "It failed.")
        return json.loads(answer.read_text())
