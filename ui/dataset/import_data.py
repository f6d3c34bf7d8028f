"""Getting datasets: render scenes, or download the Cityscapes Image Pairs from Kaggle, in separate
processes."""

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import streamlit as st

from seg import jobs, paths
from seg.data import scenes
from seg.data.dataset_import import import_zip
from seg.data.datasets import list_datasets
from seg.data.pairs import unusable_datasets
from seg.data.split_folders import roots
from seg.errors import StreetFCNError, printable, user_message
from seg.system.folders import broken_links
from ui.shared.permissions import allowed, show_disabled_reason
from ui.shared.text import plain, unique_name
from ui.state.session import session
from ui.state.shared_processes import SharedProcess, run_shared

KAGGLE_PAGE = "https://www.kaggle.com/datasets/dansbecker/cityscapes-image-pairs"
KAGGLE_PAIRS = 3475


def no_data() -> None:
    """Explain how to get a dataset; for pages without one."""
    folder = paths.data()
    if folder in roots(folder):
        st.warning(
            f"{plain(str(folder))} is itself a dataset. Set SEG_DATA to the folder that contains it:"
            f" {plain(str(folder.absolute().parent))}",
            icon=":material/dataset:",
        )
    name = printable(str(folder))
    st.info(
        f"No dataset in `{name}`. Render one here, download the Cityscapes Image Pairs from Kaggle, "
        f"or copy a folder of pairs there: `{name}/NAME/train/1.jpg` …",
        icon=":material/dataset:",
    )
    _import_choices()


def import_section() -> None:
    """Draw the ways to get more datasets, collapsed."""
    with st.expander("Get more data", icon=":material/dataset:"):
        _import_choices()


def _import_choices() -> None:
    for sentence in broken_links(paths.data()):
        st.warning(plain(sentence), icon=":material/link_off:")
    for sentence in _unusable_datasets(paths.data()):
        st.warning(plain(sentence), icon=":material/folder_open:")
    left, right = st.columns(2, gap="large")
    with left:
        render_section(scenes.SceneOptions())
    with right:
        st.markdown(f"The [Cityscapes Image Pairs]({KAGGLE_PAGE}), 115 MB")
        target = paths.default_dataset()
        disabled = not allowed() or target.exists()
        if st.button("Download from Kaggle", disabled=disabled, icon=":material/download:"):
            arguments = ("data", "fetch", "--to", str(target))
            if run_and_report(arguments, lambda _: _count_pairs(target), KAGGLE_PAIRS, "Downloading"):
                st.rerun()
        if target.exists():
            st.caption("Already downloaded.")
    zip_section()


def zip_section() -> None:
    """Draw the import of a data set with classes of its own from a zip."""
    st.markdown("**Your own data set**, as a zip or as a folder in " + f"`{printable(str(paths.data()))}`")
    st.caption(
        "Photos and labels in images/train and masks/train, images/val and masks/val, or images and masks; or"
        " in the layout of Cityscapes, CamVid, Pascal VOC, ADE20K or COCO panoptic. Labels are pictures of"
        " class ids or of colors."
    )
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    file = left.file_uploader("Zip of a data set", type=["zip"], key="dataset_zip", disabled=not allowed())
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", file.name.rsplit(".", 1)[0]).strip("-._") if file else ""
    name = right.text_input("Name", stem[:60] or "my-data", key=f"dataset_name_{stem}", max_chars=60)
    disabled = file is None or not allowed()
    pressed = right.button("Import", key="import_zip", icon=":material/unarchive:", disabled=disabled)
    if pressed and file is not None and allowed():
        bar = st.progress(0.0, "Unpacking …")
        try:
            import_zip(file, paths.data(), name, lambda share: bar.progress(share, "Unpacking …"))
        except (StreetFCNError, OSError) as error:
            st.error(plain(user_message(error)), icon=":material/error:")
            return
        finally:
            bar.empty()
        session()["imported_dataset"] = name
        st.rerun()


@st.cache_data(ttl=10, max_entries=1, show_spinner=False)
def _unusable_datasets(folder: Path) -> list[str]:
    return unusable_datasets(folder)


def render_section(options: scenes.SceneOptions) -> None:
    """Draw the rendering of a dataset.

    Args:
        options: Options of all scenes.
    """
    count = st.slider("Number of rendered training scenes", 50, 1000, 300, 50, key="count")
    name = unique_name("scenes", [data.name for data in list_datasets(paths.data())])
    target, val = paths.data() / name, max(10, count // 6)
    sizes = ("--train", str(count), "--val", str(val))
    arguments = ("data", "render", "--to", str(target), *sizes, *option_arguments(options))
    if st.button(
        printable(f"Render as {target}"), key="render", disabled=not allowed(), icon=":material/landscape:"
    ):
        if run_and_report(
            arguments, lambda pid: _count_pairs(scenes.temp_dir(target, pid)), count + val, "Rendering"
        ):
            st.rerun()
    show_disabled_reason()
    for folder in scenes.active_renders(paths.data()):  # started in another window or before a reload
        name = folder.name.split(".rendering")[0].lstrip(".")
        st.caption(f"Rendering {plain(name)}: {_count_pairs(folder):,} pairs so far.")
    if options:
        st.caption("Command line:")
        st.code(jobs.displayed_command(arguments), language="bash", wrap_lines=True)


def option_arguments(options: scenes.SceneOptions) -> tuple[str, ...]:
    """Return scene options as command-line arguments."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    return tuple(
        argument
        for name, value in values.items()
        if value is not None
        for argument in (f"--{name}", str(value))
    )


def run_and_report(arguments: tuple[str, ...], done: Callable[[int], int], count: int, activity: str) -> bool:
    """Run a command as `run_command` does and show its error on the page.

    Returns:
        Whether it succeeded.
    """
    error = run_command(arguments, done, count, activity)
    if error:
        st.error(plain(error), icon=":material/error:")
    return not error


def run_command(
    arguments: tuple[str, ...],
    done: Callable[[int], int],
    count: int,
    activity: str,
    is_needed: Callable[[], bool] = lambda: True,
) -> str:
    """Run ``python -m seg`` as a process that all visitors share, and show its progress. It continues when
    the visitor leaves the page.

    Args:
        arguments: Arguments of the command.
        done: Maps the process id to the number of finished pairs.
        count: Total number of pairs.
        activity: Text of the progress bar, for example "Rendering".
        is_needed: Returns False if another server has done the same meanwhile.

    Returns:
        The error message; empty if it succeeded.
    """
    bar = st.progress(0.0, f"{activity} …")

    def show(process: SharedProcess | None) -> None:
        if process is None:
            bar.progress(0.0, f"{activity}: waiting for other work on this server …")
            return
        ready = done(process.pid)
        text = f"{activity}: {ready:,} of {count:,} pairs" if ready else f"{activity} …"
        bar.progress(min(1.0, ready / count), text)

    error = run_shared(arguments, show, is_needed)
    bar.empty()
    return error


def _count_pairs(folder: Path) -> int:
    return sum(1 for _ in folder.glob("*/*.jpg"))
