"""Batch: many photos, a folder or a zip in; masks of all of them out."""

import io
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import streamlit as st
from PIL import Image

from pages.parts import cached, leaving, results
from pages.parts.frame import choose_weights, frame, plain
from pages.parts.photos import SAMPLES, unquoted
from pages.parts.wishes import lasting
from seg import batch as batches
from seg import weights
from seg.batch import Batch, Settings
from seg.files import why
from seg.networks import TITLES
from seg.predict import Prediction

ZIP_MB = 1024
"""The largest file that is taken: a zip; the photos within it have limits of their own."""


def main() -> None:
    """Draw the page."""
    frame("Batch", "Give it many photos at once, and take the masks of all of them home.")
    card = choose_weights(beside=False)[0]
    settings = choose_settings(card)
    state = st.session_state
    if "batch" in state and not state.batch.path.is_dir():
        forget()
    if "batch" not in state:
        batches.sweep(Path(tempfile.gettempdir()), batches.PREFIX)
        batches.sweep(results.STATIC)
        give(settings)
    elif state.get("batch_going"):
        work(state.batch)
    else:
        stand(state.batch, settings)


def choose_settings(card: weights.Card) -> Settings:
    """How the visitor wants the photos to be looked at."""
    with st.sidebar:
        chosen = st.pills(
            "Networks",
            card.variants,
            selection_mode="multi",
            default=card.variants[-1],
            format_func=TITLES.get,
            key=f"batch_variants_{card.name}",
            persist_state="session",
            help="All of them come from one pass through the encoder: three take little longer than one.",
        )
        best = st.toggle(
            "Best quality",
            key="batch_best",
            persist_state="session",
            help="The mean of three sizes, each also mirrored: better, and several times slower.",
        )
    wanted = tuple(variant for variant in card.variants if variant in chosen) or (card.variants[-1],)
    return Settings(card.name, card.sha256, wanted, best)


def give(settings: Settings) -> None:
    """Where there is no batch: take photos."""
    turn = st.session_state.setdefault("batch_turn", 0)  # a new one empties the uploaders, and the memory they take
    one, other = st.columns(2, gap="medium")
    with one:
        files = st.file_uploader(
            "Photos, or a zip of photos",
            accept_multiple_files=True,
            key=f"batch-files-{turn}",
            max_upload_size=ZIP_MB,
            help="JPEG, PNG, WebP, BMP, TIFF or GIF of up to 64 megapixels and 64 MB; pair files of the Cityscapes Image Pairs "
            "are taken apart.",
        )
    with other:
        folder = st.file_uploader(
            "Or a whole folder",
            accept_multiple_files="directory",
            key=f"batch-folder-{turn}",
            help="With the folders in it. Hidden files are left out.",
        )
    given = [*files, *folder]
    words = f"Look at {len(given):,} file{'s' * (len(given) > 1)}" if given else "Look at them"
    with st.container(horizontal=True):
        start = st.button(words, type="primary", icon=":material/play_arrow:", disabled=not given, key="batch_start")
        samples = st.button("Try it with six rendered streets", icon=":material/auto_awesome:", key="batch_samples")
    if not given:
        st.info(
            f"Choose photos, a folder or a zip: up to {batches.PHOTOS:,} photos. You get a mask of each from every network "
            "chosen in the sidebar, the class shares as CSV, and everything as a zip. Photos and masks stay on the "
            "computer that this app runs on, and are deleted after you leave.",
            icon=":material/burst_mode:",
        )
    taken = False
    if start:
        taken = take(settings, ((unquoted(file.name), file) for file in given), len(given), "Taking the photos in …")
    elif samples:
        taken = take(settings, rendered(), len(SAMPLES), "Rendering the streets …")
    if taken:
        st.session_state.batch_turn += 1
        leaving.free(file.file_id for file in given)
        st.rerun()


def rendered() -> Iterator[tuple[str, BinaryIO]]:
    """The samples as files."""
    for seed, name in SAMPLES.items():
        yield f"{name}.png", io.BytesIO(cached.sample(seed, name).data)


def take(settings: Settings, files: Iterator[tuple[str, BinaryIO]], count: int, words: str) -> bool:
    """Makes a batch of files; it is the visitor's when all is taken in, and else gone. -> whether it is."""
    bar = st.progress(0.0, words)
    try:
        made = Batch(settings)
        for behind in made.take(files):
            bar.progress(min(1.0, behind / count), words)
    except OSError as error:
        bar.empty()
        st.error(plain(why(error)), icon=":material/hard_drive:")
        return False
    bar.empty()
    st.session_state.update({"batch": made, "batch_going": True})
    return True


def work(batch: Batch) -> None:
    """Looks at the photos that wait, one after another; where the visitor does something else, it goes on at the next one."""
    state = st.session_state
    count = len(batch.entries)
    bar = st.progress(*progress(batch, count))
    st.button("Cancel", icon=":material/stop:", key="batch_cancel", on_click=state.update, args=({"batch_going": False},),
              help="Keeps what is done; you can go on later.")  # fmt: skip
    st.caption("On another page it waits, and goes on when you come back.")
    told = cached.place()
    try:
        while batch.waiting:
            batch.step(looker(batch.settings, told))
            bar.progress(*progress(batch, count))
    except cached.UNABLE as error:
        state.batch_halted = str(error)
    except OSError as error:
        state.batch_halted = f"{why(error)} What is done is kept."
    state.batch_going = False
    st.rerun()


def looker(settings: Settings, told: cached.Told) -> Callable[[Image.Image], Prediction]:
    """What looks at one photo with these settings, when it is its turn."""

    def look(photo: Image.Image) -> Prediction:
        card = weights.read_card(settings.weights, weights.FOLDER)
        if card.sha256 != settings.digest:
            raise weights.WeightsError(f"{settings.weights} are other weights than before. Look at the photos again.")
        with cached.network(card, told) as predictor:
            return predictor.predict(photo, settings.variants, best=settings.best)

    return look


def progress(batch: Batch, count: int) -> tuple[float, str]:
    """How far a batch is, for the bar."""
    behind = count - len(batch.waiting)
    left = batch.seconds_left
    words = f"{behind:,} of {count:,}" + (f" · about {lasting(max(1, left))} left" if left is not None else "")
    return behind / count, words


def stand(batch: Batch, settings: Settings) -> None:
    """How a batch stands that nobody works at, what can be done with it, and what it has come to."""
    state = st.session_state
    halted = state.pop("batch_halted", None)
    if halted:
        st.error(plain(halted), icon=":material/error:")
    if batch.note:
        st.info(batch.note, icon=":material/memory:")
    if not batch.entries:
        st.warning("There are no files in this folder but hidden ones.", icon=":material/folder_off:")
    done, failed, waiting = len(batch.done), len(batch.failed), len(batch.waiting)
    words = [f"**{done:,}** of {len(batch.entries):,} looked at by {networks(batch.settings)}"]
    words += [f"**{failed:,}** could not be used"] if failed else []
    words += [f"**{waiting:,}** wait"] if waiting else []
    st.markdown(" · ".join(words))
    with st.container(horizontal=True, vertical_alignment="center"):
        if waiting:
            st.button("Go on", type="primary", icon=":material/play_arrow:", key="batch_go_on", on_click=state.update,
                      args=({"batch_going": True},))  # fmt: skip
        if settings != batch.settings and any(entry.taken for entry in batch.entries):
            st.button("Look again, as chosen in the sidebar", icon=":material/refresh:", key="batch_again", on_click=again,
                      args=(batch, settings))  # fmt: skip
        zip_wanted = done > 0 and results.downloads(batch)
        st.button("New batch", icon=":material/delete_sweep:", key="batch_new", on_click=forget,
                  help="Deletes these photos and masks.")  # fmt: skip
    if zip_wanted:
        results.make_zips(batch)
    results.show(batch)


def networks(settings: Settings) -> str:
    """The networks in words, as Markdown."""
    names = [TITLES[variant] for variant in settings.variants]
    words = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"{words} of {plain(settings.weights)}" + (", at best quality" if settings.best else "")


def again(batch: Batch, settings: Settings) -> None:
    """Has all photos looked at with other settings."""
    results.forget()
    batch.again(settings)
    st.session_state.batch_going = True


def forget() -> None:
    """Deletes the batch."""
    results.forget()
    st.session_state.pop("batch").folder.delete()


main()
