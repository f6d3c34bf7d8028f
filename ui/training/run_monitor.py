"""The Runs view: status of a run, its curves and sample masks, and its actions."""

import base64
import contextlib
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import streamlit as st
from PIL import Image

from seg import jobs, paths
from seg.errors import printable
from seg.evaluation.evaluate import format_score
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import WeightsError
from seg.models.registry import check_weights_name, list_weights
from seg.system.durations import format_duration
from seg.system.status_file import is_active
from seg.training import run_status, snapshots
from seg.training.config import TrainConfig
from seg.training.run import PUBLISHING, Run, RunError
from ui.shared.permissions import allowed, run_action, show_error
from ui.shared.text import plain, unique_name
from ui.state.session import session
from ui.training import curves, form
from ui.training.new_run import show_copy

STATES: dict[str, tuple[str, str]] = {
    "queued": ("queued", "blue"),
    "running": ("running", "green"),
    "stopped": ("stopped", "orange"),
    "finished": ("finished", "violet"),
    "failed": ("failed", "red"),
    "crashed": ("crashed", "red"),
}
"""Text and color of each state of a run."""

MAX_PICTURE = 1 << 20
"""The largest picture of a snapshot in bytes: they are 256 pixels high."""

MAX_TAIL = 1 << 16
"""Bytes at the end of a log of which the last lines are shown."""

STYLE = """<style>
.strip { display: grid; gap: .35rem; align-items: center; }
.strip img { width: 100%; aspect-ratio: var(--aspect); image-rendering: pixelated; border-radius: .3rem;
  display: block; }
.strip span { font-size: .8125rem; opacity: .75; }
.strip { overflow-x: auto; }
table.runs { border-collapse: collapse; font-size: .875rem; width: 100%; }
.runs td, .runs th { text-align: left; padding: .3rem .8rem .3rem 0; font-weight: 400;
  border-bottom: 1px solid #8883; }
.runs thead th { opacity: .65; }
.scroll { overflow-x: auto; }
</style>"""


def show(folder: Path) -> None:
    """Show a run.

    Args:
        folder: Folder of the run.
    """
    st.html(STYLE)
    try:
        status = run_status.get_status(folder)
    except RunError as error:
        st.error(plain(str(error)), icon=":material/broken_image:")
        return
    others = {printable(run.name): run for run in run_status.find_runs(paths.runs()) if run != folder}
    published = is_active(folder, PUBLISHING)
    active = status.state in ("queued", "running") or published
    st.fragment(show_status, run_every=1.5 if active else None)(folder, (status.state, published))
    if allowed():
        action_buttons(folder, status)
    compared = others and st.multiselect(
        "Compare with",
        list(others),
        key="beside_runs",
        placeholder="Other runs",
        help="Adds their curves to the same plots.",
    )
    interval = 5 if active else None
    st.fragment(show_curves, run_every=interval)(folder, [others[name] for name in compared or []])
    st.fragment(show_snapshots, run_every=interval)(folder)
    st.fragment(show_settings_and_log, run_every=interval)(folder)


def show_settings_and_log(folder: Path) -> None:
    """Show the command and the log of a run, collapsed."""
    with st.expander("Settings and log", icon=":material/description:"):
        with contextlib.suppress(RunError):  # deleted meanwhile
            st.code(printable(Run(folder).config().get("command", "")), language="bash", wrap_lines=True)
        st.code(tail(folder / "log.txt", 40) or "The log is empty.", language=None, wrap_lines=True)


def show_status(folder: Path, before: tuple[run_status.State, bool]) -> None:
    """Show state, progress, messages and validation metrics of a run.

    Args:
        folder: Folder of the run.
        before: State of the run and whether it was being published when the page was drawn; a change reruns
            the page.
    """
    try:
        status, config = run_status.get_status(folder), Run(folder).config()
    except RunError:  # deleted or renamed meanwhile
        st.rerun()
    if (status.state, is_active(folder, PUBLISHING)) != before:
        st.rerun()
    st.markdown(" · ".join(_progress_parts(status, config)))
    if status.steps and status.state != "finished":
        st.progress(min(1.0, status.step / status.steps))
    elif status.state == "running":
        st.caption("Loading the data and the encoder …")
    _show_messages(folder, status)
    show_metrics(status.metrics)
    if status.metrics and "holdout" in config:
        st.caption(
            f"On the unambiguous pixels of the {config['holdout']} validation (hold-out) samples of this "
            "run, at the last evaluation."
        )
    show_publishing(folder)


def show_metrics(reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Show mean IoU and pixel accuracy of each variant.

    Args:
        reports: Metrics by variant.
    """
    for column, (variant, report) in zip(st.columns(max(3, len(reports))), reports.items(), strict=False):
        column.metric(
            f"{DISPLAY_NAMES[variant]}, mean IoU",
            format_score(report.get("mean_iou"), 3),
            f"pixel accuracy {format_score(report.get('pixel_accuracy'), 3)}",
            delta_color="off",
            delta_arrow="off",
        )


def _progress_parts(status: run_status.RunStatus, config: Mapping[str, Any]) -> list[str]:
    """Return state, progress and speed of a run as Markdown."""
    text, color = STATES[status.state]
    parts = [f":{color}-badge[{text}]"]
    if status.steps and config.get("minutes"):
        about = "" if status.state == "finished" else "about "
        parts += [f"{config['minutes']:g} minutes", f"step **{status.step:,}** of {about}{status.steps:,}"]
    elif status.steps and "epochs" in config:
        steps_per_epoch = status.steps // config["epochs"]
        epoch = min(status.step // steps_per_epoch + 1, config["epochs"]) if steps_per_epoch else 0
        parts += [f"epoch **{epoch}** of {config['epochs']}", f"step **{status.step:,}** of {status.steps:,}"]
    if status.seconds:
        parts.append(
            format_duration(status.seconds) + (" so far" if status.state != "finished" else " in total")
        )
    if status.state == "running":
        if status.eta_seconds is not None:
            parts.append(f"about **{format_duration(status.eta_seconds)}** remaining")
        if status.seconds_per_step and "batch_size" in config:
            parts.append(f"{config['batch_size'] / status.seconds_per_step:.1f} samples/s")
    return parts


def _show_messages(folder: Path, status: run_status.RunStatus) -> None:
    warnings = [line for line in tail(folder / "log.txt", 20).splitlines() if " warning: " in line]
    if warnings:
        st.warning(plain(warnings[-1].partition(" warning: ")[2]), icon=":material/warning:")
    if status.state == "queued":
        message = status.message[:1].upper() + status.message[1:]
        st.info(plain(message) + ".", icon=":material/hourglass_top:")
    elif status.state not in ("running", "stopped", "finished"):
        st.error(plain(form.in_form_terms(status.message)), icon=":material/error:")
        if log := tail(folder / "log.txt", 6):
            st.code(log, language=None, wrap_lines=True)


def show_publishing(folder: Path) -> None:
    """Show the progress or the result of publishing a run, if there is any."""
    publishing = Run(folder).read_publishing()
    status, name = publishing.get("status"), publishing.get("name", "")
    if is_active(folder, PUBLISHING):
        done = publishing.get("done", 0) / max(1, publishing.get("total", 1))
        stage = plain(publishing.get("what", "")).replace("\\: ", ": ")  # no directive begins with a space
        st.progress(min(1.0, done), f"Publishing {plain(name)}: {stage}")
    elif status == "running":
        st.error("Publishing crashed. Publish the run again.", icon=":material/error:")
    elif status == "failed":
        st.error(plain(publishing.get("message", "")), icon=":material/error:")
    elif status == "finished" and name in list_weights():
        st.success(f"Published as **{plain(name)}**.", icon=":material/inventory_2:")
        query = {"weights": name}
        st.page_link("app.py", label="Open in Compare", icon=":material/compare:", query_params=query)


def action_buttons(folder: Path, status: run_status.RunStatus) -> None:
    """Draw the actions that the state of a run allows.

    Args:
        folder: Folder of the run.
        status: Its status.
    """
    with st.container(horizontal=True):
        if status.state in ("queued", "running"):
            st.button(
                "Stop",
                icon=":material/stop:",
                on_click=run_action,
                args=(run_status.stop, folder),
                help="Saves a checkpoint and ends after this step. You can resume the run later.",
            )
        elif status.state != "finished":
            st.button(
                "Resume",
                icon=":material/play_arrow:",
                type="primary",
                on_click=run_action,
                args=(jobs.resume, folder),
            )
        elif not is_active(folder, PUBLISHING):
            with st.popover("Publish", icon=":material/inventory_2:", type="primary"):
                publish_form(folder)
        st.button(
            "Duplicate",
            icon=":material/content_copy:",
            on_click=run_action,
            args=(duplicate, folder),
            help="Copies the settings of this run into the form for a new training.",
        )
        if status.state not in ("queued", "running"):
            _rename_and_delete(folder, status.step)
    show_error()


def _rename_and_delete(folder: Path, steps: int) -> None:
    present_name = printable(folder.name)
    with st.popover("Rename", icon=":material/edit:"):
        name = st.text_input("New name", present_name, key=f"rename_{present_name}")
        st.button("Rename", on_click=rename, args=(folder, name), key=f"do_rename_{present_name}")
    with st.popover("Delete", icon=":material/delete:"):
        st.markdown(
            f"This deletes **{plain(folder.name)}** with its {steps:,} steps. Published weights are kept."
        )
        confirmed = st.checkbox("Delete permanently", key=f"sure_{present_name}")
        st.button(
            "Delete",
            type="primary",
            disabled=not confirmed,
            on_click=run_action,
            args=(run_status.delete, folder),
            key=f"do_delete_{present_name}",
        )


def publish_form(folder: Path) -> None:
    """Draw the form for publishing a run."""
    taken, run_name = list_weights(), printable(folder.name)
    name = st.text_input("Name of the weights", unique_name(run_name, taken), key=f"publish_{run_name}")
    tta = st.toggle(
        "Evaluate with TTA too",
        key=f"best_{run_name}",
        help="Multi-scale + flip: averages three scales and their mirror images. Takes several times longer.",
    )
    try:
        check_weights_name(name)
        problem = f"Weights named {name} already exist. Choose another name." if name in taken else ""
    except WeightsError as error:
        problem = str(error)
    if problem:
        st.warning(plain(problem))
    st.caption(
        "Evaluates the network on val, or on the validation (hold-out) samples if the dataset has no val."
        " Takes minutes on a CPU."
    )
    if st.button("Publish", type="primary", disabled=bool(problem), key=f"do_publish_{run_name}"):
        run_action(jobs.publish, folder, name, tta)
        st.rerun()


def rename(folder: Path, name: str) -> None:
    """Rename a run and keep it selected."""
    run_action(run_status.rename, folder, name)
    if "action_error" not in session():
        st.session_state["run"] = name


def duplicate(folder: Path) -> None:
    """Copy the settings of a run into the form."""
    show_copy(TrainConfig.from_json(Run(folder).config()), folder.name)


def show_curves(folder: Path, compared: list[Path]) -> None:
    """Plot the training curves of a run.

    Args:
        folder: Folder of the run.
        compared: Folders of runs to compare with.
    """
    records: dict[str, list[dict[str, Any]]] = {}
    batch_sizes: dict[str, int] = {}
    for run in (folder, *compared):
        with contextlib.suppress(RunError):  # deleted meanwhile, or damaged
            if batch_size := Run(run).config().get("batch_size"):
                name = printable(run.name)
                records[name], batch_sizes[name] = Run(run).metrics(), batch_size
    name = printable(folder.name)
    if not any("loss" in record for record in records.get(name, [])):
        return
    left, right = st.columns(2)
    left.plotly_chart(curves.loss(records, batch_sizes), key="loss")
    right.plotly_chart(curves.scores(records, "mean_iou", "Validation mean IoU"), key="mean_iou")
    with st.expander("Learning rate, pixel accuracy, and IoU by class", icon=":material/monitoring:"):
        left, right = st.columns(2)
        left.plotly_chart(curves.rate(records, batch_sizes), key="rate")
        accuracy = curves.scores(records, "pixel_accuracy", "Validation pixel accuracy")
        right.plotly_chart(accuracy, key="pixel_accuracy")
        last = curves.last_validation(records[name])
        st.plotly_chart(curves.by_class(last, "IoU by class at the last evaluation"), key="by_class")


def show_snapshots(folder: Path) -> None:
    """Show fixed validation photos with their masks after a chosen epoch."""
    epochs, photos = snapshots.load_epochs(folder), snapshots.load_photos(folder)
    if not epochs or not photos:
        return
    st.subheader("Masks by epoch", anchor=False)
    key = f"epoch_{printable(folder.name)}"
    epoch = max(epochs)
    if len(epochs) > 1:
        previous = st.session_state.get(key)
        if previous not in epochs or session().get("newest") in (None, previous):
            st.session_state[key] = epoch  # whoever views the newest epoch keeps viewing the newest
        session()["newest"] = epoch
        epoch = st.select_slider("Epoch", list(epochs), key=key)
    variants = {file.name.split(".")[1] for file in epochs[epoch].glob("[0-9]*.png")} & DISPLAY_NAMES.keys()
    ordered = sorted(variants, key=list(DISPLAY_NAMES).index)
    heads = ("photo", "ground truth", *(DISPLAY_NAMES[variant] for variant in ordered))
    cells = [f"<span>{escape(head)}</span>" for head in heads]
    for number, (photo, truth) in enumerate(photos):
        files = [photo, truth, *(epochs[epoch] / f"{number}.{variant}.png" for variant in ordered)]
        cells += [picture_html(file) for file in files if file.is_file()]
    with Image.open(photos[0][0]) as picture:
        aspect = picture.width / picture.height
    columns = (
        f"--aspect: {aspect:.3f}; grid-template-columns: repeat({2 + len(ordered)}, minmax(6.5rem, 1fr))"
    )
    st.html(f'<div class="strip" style="{columns}">{"".join(cells)}</div>')


def picture_html(file: Path) -> str:
    """Return a JPEG or PNG file of at most `MAX_PICTURE` bytes as an HTML element."""
    kind = "jpeg" if file.suffix == ".jpg" else "png"
    content = file.read_bytes() if file.stat().st_size <= MAX_PICTURE else b""
    data = base64.b64encode(content).decode()
    return f'<img alt="{escape(file.stem)}" src="data:image/{kind};base64,{data}">'


def run_table() -> None:
    """Show all runs as a table, collapsed."""
    runs, faults = run_status.list_statuses(paths.runs())
    for fault in faults:
        st.warning(plain(fault), icon=":material/broken_image:")
    if not runs:
        return
    with st.expander(f"All {len(runs)} runs" if len(runs) > 1 else "All runs", icon=":material/list:"):
        head = "".join(f"<th>{name}</th>" for name in ("run", "state", "steps", "training time", "mean IoU"))
        rows = []
        for run in runs:
            ious = ", ".join(
                f"{DISPLAY_NAMES[v]} {format_score(score.get('mean_iou'), 3)}"
                for v, score in run.metrics.items()
            )
            steps = f"{run.step:,} of {run.steps:,}" if run.steps else f"{run.step:,}"
            cells = (
                printable(run.folder.name),
                STATES[run.state][0],
                steps,
                format_duration(run.seconds),
                ious,
            )
            rows.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
        table = f'<table class="runs"><thead><tr>{head}</tr></thead>{"".join(rows)}</table>'
        st.html(f'<div class="scroll">{table}</div>')


def tail(file: Path, lines: int) -> str:
    """Return the last lines of a text file; empty if it does not exist."""
    if not file.is_file():
        return ""
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - MAX_TAIL))
        text = log.read(MAX_TAIL).decode(errors="replace")
    return "\n".join(text.splitlines()[-lines:])
