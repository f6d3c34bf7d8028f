"""One run on the page: how it stands, its curves, what it sees, and what can be done with it."""

import base64
import contextlib
from html import escape
from pathlib import Path

import streamlit as st

from pages.parts import curves, form
from pages.parts.frame import plain
from pages.parts.wishes import NEW, REFUSALS, allowed, free, lasting, refused, told
from seg import launch, runs, strip, weights
from seg.checkpoint import Run, RunError
from seg.files import why
from seg.networks import TITLES
from seg.recipe import TrainConfig

STATES: dict[runs.State, tuple[str, str]] = {
    "queued": ("waits", "blue"),
    "running": ("trains", "green"),
    "stopped": ("stopped", "orange"),
    "finished": ("finished", "violet"),
    "failed": ("failed", "red"),
    "dead": ("ended without a word", "red"),
}
"""What a run's state is called, and its colour."""

STYLE = """<style>
.strip { display: grid; gap: .35rem; align-items: center; }
.strip img { width: 100%; aspect-ratio: 2; image-rendering: pixelated; border-radius: .3rem; display: block; }
.strip span { font-size: .8125rem; opacity: .75; }
.strip { overflow-x: auto; }
table.runs { border-collapse: collapse; font-size: .875rem; width: 100%; }
.runs td, .runs th { text-align: left; padding: .3rem .8rem .3rem 0; border-bottom: 1px solid #8883; font-weight: 400; }
.runs thead th { opacity: .65; }
.scroll { overflow-x: auto; }
</style>"""


def show(folder: Path) -> None:
    """All of one run."""
    st.html(STYLE)
    seen = runs.see(folder)
    others = [one.name for one in runs.find(runs.FOLDER) if one != folder]
    published = Run(folder).busy("publishing")
    alive = seen.state in ("queued", "running") or published
    st.fragment(progress, run_every=1.5 if alive else None)(folder, (seen.state, published))
    if allowed():
        actions(folder, seen)
    beside = others and st.multiselect(
        "Compare with", others, key="beside_runs", placeholder="Other runs", help="Their curves are drawn into the same plots."
    )
    st.fragment(plots, run_every=5 if alive else None)(folder, [runs.FOLDER / name for name in beside or []])
    st.fragment(filmstrip, run_every=5 if alive else None)(folder)
    st.fragment(papers, run_every=5 if alive else None)(folder)


def papers(folder: Path) -> None:
    """What a run was asked to do, and its log."""
    with st.expander("Settings and log", icon=":material/description:"):
        with contextlib.suppress(RunError):  # deleted meanwhile
            st.code(Run(folder).config().get("command", ""), language="bash", wrap_lines=True)
        st.code(tail(folder / "log.txt", 40) or "Nothing yet.", language=None, wrap_lines=True)


def progress(folder: Path, before: tuple[runs.State, bool]) -> None:
    """How far a run is and how it stands; draws the whole page anew when that changes."""
    try:
        seen, stored = runs.see(folder), Run(folder).config()
    except RunError:  # deleted or renamed meanwhile
        st.rerun()
    if (seen.state, Run(folder).busy("publishing")) != before:
        st.rerun()
    word, color = STATES[seen.state]
    each = (seen.steps or 0) // stored["epochs"]
    parts = [f":{color}-badge[{word}]"]
    if seen.steps:
        done = min(seen.step // each + 1, stored["epochs"]) if each else 0
        parts += [f"epoch **{done}** of {stored['epochs']}", f"step **{seen.step:,}** of {seen.steps:,}"]
    if seen.seconds:
        parts.append(lasting(seen.seconds) + (" so far" if seen.state != "finished" else " in all"))
    if seen.state == "running":
        if seen.left is not None:
            parts.append(f"about **{lasting(seen.left)}** left")
        if seen.pace:
            parts.append(f"{stored['batch_size'] / seen.pace:.1f} views a second")
    st.markdown(" · ".join(parts))
    if seen.steps and seen.state != "finished":
        st.progress(min(1.0, seen.step / seen.steps))
    elif seen.state == "running":
        st.caption("Reading the pairs and the encoder …")
    warned = [line for line in tail(folder / "log.txt", 20).splitlines() if " warning: " in line]
    if warned:
        st.warning(plain(warned[-1].partition(" warning: ")[2]), icon=":material/warning:")
    if seen.state == "queued":
        st.info(plain(seen.message[:1].upper() + seen.message[1:]) + ".", icon=":material/hourglass_top:")
    elif seen.state in ("failed", "dead"):
        st.error(plain(form.in_words(seen.message)), icon=":material/error:")
        last = tail(folder / "log.txt", 6)
        if last:
            st.code(last, language=None, wrap_lines=True)
    for place, (variant, score) in zip(st.columns(max(3, len(seen.scores))), seen.scores.items(), strict=False):
        place.metric(f"{TITLES[variant]}, mean IoU", f"{score['mean_iou']:.3f}", f"pixel accuracy {score['pixel_accuracy']:.3f}",
                     delta_color="off", delta_arrow="off")  # fmt: skip
    if seen.scores:
        st.caption(f"On the {stored['holdout']} pairs of train that this run holds out, after the last whole epoch.")
    publishing(folder)


def publishing(folder: Path) -> None:
    """How the publishing of a run stands, where there is one."""
    run = Run(folder)
    said = run.noted("publishing")
    if run.busy("publishing"):
        done = said.get("done", 0) / max(1, said.get("total", 1))
        st.progress(done, f"Publishing {plain(said['name'])}: {said.get('what', '')}")
    elif said.get("status") == "running":
        st.error("The process that published this run is gone. Publish it again.", icon=":material/error:")
    elif said.get("status") == "failed":
        st.error(plain(said.get("message", "")), icon=":material/error:")
    elif said.get("status") == "finished" and said["name"] in weights.names(weights.FOLDER):
        st.success(f"Published as **{plain(said['name'])}**.", icon=":material/inventory_2:")
        st.page_link("app.py", label="Compare photos with it", icon=":material/compare:", query_params={"weights": said["name"]})


def actions(folder: Path, seen: runs.Seen) -> None:
    """What can be done with a run."""
    with st.container(horizontal=True):
        if seen.state in ("queued", "running"):
            st.button("Stop", icon=":material/stop:", on_click=told, args=(runs.stop, folder),
                      help="It saves and ends after this step; you can go on with it later.")  # fmt: skip
        elif seen.state != "finished":
            st.button("Go on", icon=":material/play_arrow:", type="primary", on_click=told, args=(launch.go_on, folder))
        elif not Run(folder).busy("publishing"):
            with st.popover("Publish", icon=":material/inventory_2:", type="primary"):
                publish(folder)
        st.button("Duplicate", icon=":material/content_copy:", on_click=duplicate, args=(folder,),
                  help="Fills the form with this run's settings, to start another one with changes.")  # fmt: skip
        if seen.state not in ("queued", "running"):
            with st.popover("Rename", icon=":material/edit:"):
                name = st.text_input("New name", folder.name, key=f"rename_{folder.name}")
                st.button("Rename", on_click=rename, args=(folder, name), key=f"do_rename_{folder.name}")
            with st.popover("Delete", icon=":material/delete:"):
                st.markdown(f"**{plain(folder.name)}** and its {seen.step:,} steps will be lost. Published weights stay.")
                sure = st.checkbox("Delete it for good", key=f"sure_{folder.name}")
                st.button("Delete", type="primary", disabled=not sure, on_click=told, args=(runs.delete, folder),
                          key=f"do_delete_{folder.name}")  # fmt: skip
    refused()


def publish(folder: Path) -> None:
    """The form for publishing."""
    taken = weights.names(weights.FOLDER)
    name = st.text_input("Name of the weights", free(folder.name, taken), key=f"publish_{folder.name}")
    best = st.toggle("Score the best quality too", key=f"best_{folder.name}", help="Three sizes, each also mirrored: slower.")
    try:
        weights.check_name(name)
        wrong = f"There are weights named {name} already." if name in taken else ""
    except weights.WeightsError as error:
        wrong = str(error)
    if wrong:
        st.warning(plain(wrong))
    st.caption("The network is scored on the 500 pairs of val, or those that the data set has: minutes on a CPU.")
    if st.button("Publish", type="primary", disabled=bool(wrong), key=f"do_publish_{folder.name}"):
        told(launch.publish, folder, name, best)
        st.rerun()


def rename(folder: Path, name: str) -> None:
    """Renames a run and keeps it in sight."""
    told(runs.rename, folder, name)
    if "refused" not in st.session_state:
        st.session_state["run"] = name


def duplicate(folder: Path) -> None:
    """Fills the form with a run's settings."""
    try:
        config = TrainConfig.from_json(Run(folder).config())
    except REFUSALS as error:
        st.session_state["refused"] = why(error)
        return
    form.fill(vars(config))
    taken = [one.name for one in runs.find(runs.FOLDER)]
    st.session_state.update({"view": NEW, "new_name": free(folder.name, taken), "staged": False, "preset": None})


def plots(folder: Path, beside: list[Path]) -> None:
    """The curves of a run, and of those that it is compared with."""
    lines = {one.name: Run(one).metrics() for one in (folder, *beside) if one.is_dir()}
    if not any("loss" in line for line in lines.get(folder.name, [])):
        return
    batch = {name: Run(runs.FOLDER / name).config()["batch_size"] for name in lines}
    left, right = st.columns(2)
    left.plotly_chart(curves.loss(lines, batch), key="loss")
    right.plotly_chart(curves.scores(lines, "mean_iou", "Mean IoU, pairs held out"), key="mean_iou")
    with st.expander("Learning rate, pixel accuracy, and every class", icon=":material/monitoring:"):
        left, right = st.columns(2)
        left.plotly_chart(curves.rate(lines, batch), key="rate")
        right.plotly_chart(curves.scores(lines, "pixel_accuracy", "Pixel accuracy, pairs held out"), key="pixel_accuracy")
        st.plotly_chart(curves.by_class(lines[folder.name]), key="by_class")


def filmstrip(folder: Path) -> None:
    """Fixed photos and their masks after an epoch, to be scrubbed through."""
    epochs, photos = strip.epochs(folder), strip.photos(folder)
    if not epochs or not photos:
        return
    st.subheader("What it sees, epoch by epoch", anchor=False)
    key = f"epoch_{folder.name}"
    chosen = max(epochs)
    if len(epochs) > 1:
        kept = st.session_state.get(key)
        if kept not in epochs or st.session_state.get("newest") in (None, kept):
            st.session_state[key] = chosen  # who looks at the newest goes on doing so
        st.session_state["newest"] = chosen
        chosen = st.select_slider("Epoch", list(epochs), key=key)
    variants = sorted({file.name.split(".")[1] for file in epochs[chosen].glob("*.png")}, key=list(TITLES).index)
    cells = [f"<span>{escape(word)}</span>" for word in ("photo", "truth", *(TITLES[v] for v in variants))]
    for number, (photo, truth) in enumerate(photos):
        files = [photo, truth, *(epochs[chosen] / f"{number}.{variant}.png" for variant in variants)]
        cells += [picture(file) for file in files if file.is_file()]
    columns = f"grid-template-columns: repeat({2 + len(variants)}, minmax(6.5rem, 1fr))"
    st.html(f'<div class="strip" style="{columns}">{"".join(cells)}</div>')


def picture(file: Path) -> str:
    """A picture file as an HTML element."""
    kind = "jpeg" if file.suffix == ".jpg" else "png"
    data = base64.b64encode(file.read_bytes()).decode()
    return f'<img alt="{escape(file.stem)}" src="data:image/{kind};base64,{data}">'


def everything() -> None:
    """All runs, as a table."""
    seen = [runs.see(folder) for folder in runs.find(runs.FOLDER)]
    with st.expander(f"All {len(seen)} runs" if len(seen) > 1 else "The only run", icon=":material/list:"):
        head = "".join(f"<th>{word}</th>" for word in ("run", "state", "steps", "trained", "mean IoU"))
        rows = []
        for one in seen:
            best = ", ".join(f"{TITLES[v]} {score['mean_iou']:.3f}" for v, score in one.scores.items())
            steps = f"{one.step:,} of {one.steps:,}" if one.steps else f"{one.step:,}"
            cells = (one.folder.name, STATES[one.state][0], steps, lasting(one.seconds), best)
            rows.append(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
        st.html(f'<div class="scroll"><table class="runs"><thead><tr>{head}</tr></thead>{"".join(rows)}</table></div>')


def tail(file: Path, lines: int) -> str:
    """The last lines of a text file; nothing where there is none."""
    return "\n".join(file.read_text(errors="replace").splitlines()[-lines:]) if file.is_file() else ""
