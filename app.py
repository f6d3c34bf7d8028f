"""Compare, the page that opens first: photos in, the masks of FCN-32s, FCN-16s and FCN-8s side by side."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Any

import streamlit as st

from pages.parts import cached, charts, downloads
from pages.parts.frame import choose_weights, frame, plain
from pages.parts.photos import choose_photo, render_thumbnails, short, unquoted
from pages.parts.shown import Mask, judge, masks_of, packed
from pages.parts.viewer import viewer
from seg import masks, preprocess, truth, weights
from seg.labels import CLASSES
from seg.networks import STRIDE_OF
from seg.photo import PhotoError

DETAIL = {"Fast": 0.75, "Default": 1.0, "Fine": 1.5, "Best": 1.0}  # times the card's working height

EXPLANATION = """
A **mask** names a class for every pixel of a photo: road, car, person, … nineteen in all. A fully convolutional network (FCN)
makes it from the features of a ResNet-50, which get richer in meaning and coarser in place with every stage.

- **FCN-32s** scores the classes on the last features only: one score for every 32 × 32 pixels of the working image. A transposed
  convolution with a learned kernel brings these coarse scores up to full size. It knows what is there, and roughly where.
- **FCN-16s** brings those scores up to a grid twice as fine and adds scores made from the features at stride 16: a *skip*.
- **FCN-8s** does so once more with the features at stride 8. Poles, signs and outlines gain most.

All three are taken from the same pass through one encoder, so what differs between them comes from the skips and the
upsampling alone.
Source: Long, Shelhamer, Darrell, *Fully Convolutional Networks for Semantic Segmentation*, CVPR 2015.
"""


def main() -> None:
    """Draw the page."""
    frame("Compare", "Give it a street photo and see, pixel by pixel, what FCN-32s, FCN-16s and FCN-8s take each part of it for.")
    cards = choose_weights()
    factor, best = detail(cards[0])
    try:
        chosen = choose_photo("compare")
        tell_size(chosen, cards[0], factor, best)
        show(chosen, cards, factor, best)
    except (*cached.UNABLE, PhotoError) as error:
        st.error(plain(str(error)))
        st.button("Try again", icon=":material/refresh:")
    except MemoryError:
        st.error("There is not enough memory for this photo at this detail. Choose a lower detail or a smaller photo.")
    with st.expander("What am I looking at?", icon=":material/help:"):
        st.markdown(EXPLANATION)
        st.page_link("pages/inside.py", label="Follow this photo through the network", icon=":material/account_tree:")
    render_thumbnails()


def detail(card: weights.Card) -> tuple[float, bool]:
    """The multiple of the card's working height that the visitor chose, and whether the best quality is asked for."""
    with st.sidebar:
        name = st.segmented_control(
            "Detail",
            list(DETAIL),
            default="Default",
            required=True,
            key="detail",
            bind="query-params",
            width="stretch",
            help="To what size a photo is brought before it goes through the network. Masks have the photo's own size. Best "
            "takes the mean of three sizes, each also mirrored: better, and several times slower.",
        )
    return DETAIL[name], name == "Best"


def tell_size(photo: cached.Photo, card: weights.Card, factor: float, best: bool) -> None:
    """Say below the detail at what size the photo goes through the network."""
    height, width = preprocess.working_size(photo.width, photo.height, round(card.working_height * factor), card.working_rule)
    words = " and at sizes around it" if best else ""
    st.sidebar.caption(f"This photo goes through the network at {width} × {height} pixels{words}.")


def show(photo: cached.Photo, cards: Sequence[weights.Card], factor: float, best: bool) -> None:
    """All about one photo: the viewer with what is known already, then what is not, weights by weights."""
    answered = st.session_state.setdefault("answered", set())
    label = known_truth(photo)
    asked = {card.name: (photo.digest, cached.digest(card), factor, best) for card in cards}
    ready = [card for card in cards if asked[card.name] in answered]
    waiting = [card for card in cards if card not in ready]
    with st.spinner(f"Looking at {plain(short(photo.name))} …", show_time=True):
        found = [(card, cached.answer(photo, card, round(card.working_height * factor), best=best)) for card in ready]
    made = [mask for card, answer in found for mask in masks_of(card, answer, card is cards[0])]
    judged = judge(photo, made, label)
    point = viewer(packed(photo, made, label, judged, waiting=bool(waiting)), key="viewer")
    looking, below = st.empty(), st.empty()
    if waiting:
        card = waiting[0]
        words = f"{plain(card.name)} looks at {plain(short(photo.name))}"
        below.empty()  # what stood there of the last photo
        with (
            looking.container(key="looking"),
            st.spinner(f"{words}: three sizes, each also mirrored …" if best else f"{words} …", show_time=True),
        ):
            cached.answer(photo, card, round(card.working_height * factor), best=best, told=cached.place())
        answered.add(asked[card.name])
        st.rerun()
    with below.container():
        if point:
            pinned(photo, made, label, point)
        if not photo.rendered:
            ask_truth(photo)
        classes(photo, made, label)
        if label is not None:
            against_truth(photo, made, label, judged)
        for card, answer in found:
            name = f"{card.name}: " if len(found) > 1 else ""
            st.html(charts.times(answer.seconds, answer.device, answer.working_size, name))
            if answer.note:
                st.info(answer.note, icon=":material/memory:")
        files(photo, made, factor, best)


def known_truth(photo: cached.Photo) -> bytes | None:
    """The photo's truth as an indexed PNG: its own, or the one that was given for it."""
    return st.session_state.get("truths", {}).get(photo.digest, photo.truth)


def ask_truth(photo: cached.Photo) -> None:
    """Take a label picture for the photo."""
    truths = st.session_state.setdefault("truths", {})
    key = f"truth-{photo.digest[:16]}"
    with st.expander("Compare with the truth", icon=":material/fact_check:", expanded=photo.digest in truths):
        st.file_uploader(
            "The label picture of this photo",
            key=key,
            on_change=take_truth,
            args=(key, photo.digest, (photo.width, photo.height)),  # not the photo: Streamlit keeps what it is to call
            help="A PNG of train ids, of Cityscapes' label ids, or in the Cityscapes colours, of the photo's shape.",
        )
        if photo.digest in truths and st.session_state[key] is None:  # the uploader forgets it while another photo is shown
            st.button("Remove the truth", key="untruth", on_click=truths.pop, args=(photo.digest, None))
        digest, name, why = st.session_state.get("untrue", ("", "", ""))
        if digest == photo.digest:
            st.error(f"**{plain(name)}**: {plain(why)}", icon=":material/broken_image:")


def take_truth(key: str, digest: str, size: tuple[int, int]) -> None:
    """Reads the label picture that an uploader was given for a photo of this digest and size (width, height)."""
    given, truths = st.session_state[key], st.session_state.truths
    truths.pop(digest, None)
    st.session_state.pop("untrue", None)
    if given is None:
        return
    try:
        found = truth.read_truth(given.getvalue(), size)
        truths[digest] = masks.png(found.label)
        st.toast(f"Read as {found.form}.", icon=":material/fact_check:")
    except truth.TruthError as error:
        st.session_state.untrue = (digest, unquoted(given.name), str(error))


def pinned(photo: cached.Photo, made: Sequence[Mask], label: bytes | None, point: tuple[int, int]) -> None:
    """What every network says at the point that was clicked."""
    size = photo.shown_size
    x, y = _scaled(point, (photo.width, photo.height), size)
    rows = []
    for mask in made:
        answer, variant = mask.answer, mask.variant
        work = answer.working_size[::-1]
        i, j = _scaled((x, y), size, work)
        id = int(cached.inflate(answer.shown[variant], size)[y, x])
        sure = cached.inflate(answer.sure[variant], work)[j, i] / 255
        second = int(cached.inflate(answer.second[variant], work)[j, i])
        rows.append((mask.title, CLASSES[id].name, f"{sure:.0%}", CLASSES[second].name if second != id else ""))
    if label is not None:
        id = int(cached.shown_truth(photo, label)[y, x])
        rows.append(("Truth", CLASSES[id].name if id < len(CLASSES) else "no class", "", ""))
    st.html(charts.point(f"At x {point[0]}, y {point[1]}", rows))


def classes(photo: cached.Photo, made: Sequence[Mask], label: bytes | None) -> None:
    """The legend of the classes present with their shares, as a table and as bars; and how much the masks differ."""
    shares = {mask.title: mask.shares for mask in made}
    if label is not None:
        shares["Truth"] = masks.shares(masks.read_png(label))
    st.subheader("Classes", anchor=False)
    table, bars = st.columns([2, 3], gap="large")
    table.html(charts.legend(shares))
    with bars:
        st.caption("Share of the image")
        st.plotly_chart(
            charts.share_bars(shares),
            config={"displayModeBar": False},
            key="share-bars",
            alt="Stacked bars of the share of the image that each class takes in each variant; the table has the figures.",
        )
        differ = differences(photo, made)
        if differ:
            st.caption("Share of the image that they name differently")
            st.html(charts.pairs(differ))


def differences(photo: cached.Photo, made: Sequence[Mask]) -> dict[str, float]:
    """The share of the pixels on which masks differ: the variants of some weights, and the finest ones of several weights."""
    shares, finest = {}, []
    for card in dict.fromkeys(mask.card.name for mask in made):
        own = {mask.variant: mask for mask in made if mask.card.name == card}
        shares |= {", ".join(own[v].title for v in group): part for group, part in next(iter(own.values())).answer.differ.items()}
        finest.append(list(own.values())[-1])
    for pair in combinations(finest, 2):
        both = {mask.title: cached.inflate(mask.answer.shown[mask.variant], photo.shown_size) for mask in pair}
        shares[", ".join(both)] = masks.disagreement_share(both)
    return shares


def against_truth(photo: cached.Photo, made: Sequence[Mask], label: bytes, judged: Mapping[str, cached.Judgement]) -> None:
    """IoU by class, boundaries, and what each one's grid could reach at best."""
    st.subheader("Against the truth", anchor=False)
    digest, exact = cached.key(label), cached.shown_truth(photo, label)
    limits = {
        mask.title: (stride := STRIDE_OF.get(mask.variant)) and cached.ceiling_of(digest, mask.answer.working_size, stride, exact)
        for mask in made
    }
    found = {mask.title: judged[mask.id] for mask in made}
    table, bars = st.columns([2, 3], gap="large")
    table.html(charts.truth_table(found, limits))
    with bars:
        st.caption("Mean IoU, and the most that each one’s grid allows on this photo")
        st.plotly_chart(
            charts.reach_bars(found, limits),
            config={"displayModeBar": False},
            key="reach-bars",
            alt="Bars of the mean IoU of each mask beside the ceiling of its grid; the table has the figures.",
        )
    width, height = photo.shown_size
    st.caption(
        "IoU: how far mask and truth cover each other, 1 at best; the mean is over the classes that either has. Boundary IoU "
        f"counts only what lies within three pixels of an outline. Counted at {width} × {height} pixels. A grid’s ceiling is "
        "the mean IoU of the truth itself, seen through cells of 32, 16 or 8 pixels of the working image."
    )


def files(photo: cached.Photo, made: Sequence[Mask], factor: float, best: bool) -> None:
    """The downloads: of the photo's own size, and made when they are asked for."""
    st.subheader("Downloads", anchor=False)
    cards = {mask.card.name: mask.card for mask in made}.values()
    heights = {card.name: round(card.working_height * factor) for card in cards}
    known = {card.name: cached.known_whole(photo, card, heights[card.name], best=best) for card in cards}
    if None in known.values():
        wanted = st.button(
            "Make the files",
            key="make",
            icon=":material/note_add:",
            help="Masks, colours, overlays, confidences and COCO annotations, by another pass through the network.",
        )
        st.caption(f"Of the photo’s own size, {photo.width:,} × {photo.height:,} pixels; nothing is shrunk.")
        if not wanted:
            return
        with st.container(key="looking"), st.spinner("Making the files …", show_time=True):
            for card in cards:
                cached.whole(photo, card, heights[card.name], best=best, told=cached.place())
        st.rerun()
    found = {mask.id: known[mask.card.name][mask.variant] for mask in made}
    offer(photo, made, found, best)


def offer(photo: cached.Photo, made: Sequence[Mask], found: Mapping[str, cached.Whole], best: bool) -> None:
    """The files that were made, each packed when it is asked for."""

    def one(kind: str, id: str) -> bytes:
        return downloads.make(kind, photo.name, photo.data, found[id].mask, found[id].confidence)

    def counted() -> dict[str, dict[str, float]]:
        return {id: masks.shares(masks.read_png(each.mask)) for id, each in found.items()}

    def shares() -> str:
        return downloads.shares_csv(counted())

    def everything() -> bytes:
        files = {id: (each.mask, each.confidence) for id, each in found.items()}
        shares = counted()
        return downloads.bundle(photo.name, photo.data, files, shares, record(photo, made, shares, best))

    stem = downloads.safe_stem(photo.name)
    with st.container(horizontal=True, gap="small", key="files", vertical_alignment="bottom"):
        titles = {mask.id: mask.title for mask in made}
        ids = list(titles)
        last = [mask.id for mask in made if mask.card is made[0].card][-1]
        chosen = st.selectbox("Of", ids, index=ids.index(last), format_func=titles.get, key=f"of-{' '.join(ids)}", width=220)
        for kind, what in downloads.KINDS.items():
            st.download_button(
                what.label,
                partial(one, kind, chosen),
                f"{stem}.{chosen}.{what.ending}",
                what.mime,
                key=f"file-{kind}",
                on_click="ignore",
                icon=":material/download:",
                help=what.help,
            )
        st.download_button(
            "Class shares",
            shares,
            f"{stem}.shares.csv",
            "text/csv",
            key="shares",
            on_click="ignore",
            icon=":material/download:",
            help="A CSV of the share of the image that each class takes in each mask.",
        )
        st.download_button(
            "Everything as a zip",
            everything,
            f"{stem}.zip",
            "application/zip",
            key="zip",
            on_click="ignore",
            icon=":material/folder_zip:",
            help="Every mask in every kind, class shares as CSV, and what is known of this prediction as JSON.",
        )


def record(photo: cached.Photo, made: Sequence[Mask], shares: Mapping[str, Mapping[str, float]], best: bool) -> dict[str, Any]:
    """What is known of a prediction, for JSON."""
    return {
        "photo": photo.name,
        "width": photo.width,
        "height": photo.height,
        "best_quality": best,
        "masks": {
            mask.id: {
                "weights": mask.card.name,
                "weights_sha256": mask.card.sha256,
                "variant": mask.variant,
                "working_size": dict(zip(("height", "width"), mask.answer.working_size, strict=True)),
                "shares": shares[mask.id],
                "seconds": mask.answer.seconds,
                "device": mask.answer.device,
            }
            for mask in made
        },
    }


def _scaled(point: tuple[int, int], size: tuple[int, int], to: tuple[int, int]) -> tuple[int, ...]:
    """A pixel of a picture of `size` -> the pixel there of the same picture of size `to`."""
    return tuple(min(b - 1, value * b // a) for value, a, b in zip(point, size, to, strict=True))


main()
