"""Compare, the page that opens first: photos in, the masks of FCN-32s, FCN-16s and FCN-8s side by side."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st

from pages.parts import cached, charts, downloads
from pages.parts.frame import choose_weights, frame, plain
from pages.parts.panes import Layer, Pane, data_url, highlight, panes
from seg import masks, preprocess, weights
from seg.networks import TITLES
from seg.photo import PhotoError, read_photo
from seg.predict import DeviceError

# Seed -> name of the rendered streets that can be looked at without a photo of one's own.
SAMPLES = {
    6: "Truck and bus",
    11: "Zebra crossing",
    34: "By the park",
    3: "In the fog",
    7: "Wet road",
    10: "At dusk",
}

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
    card = choose_weights()
    height, best = detail(card)
    give, pick = st.columns([2, 3], gap="medium")
    with give:
        uploads = st.file_uploader(
            "Your street photos",
            accept_multiple_files=True,
            key="uploads",
            help="JPEG, PNG, WebP, BMP, TIFF or GIF of up to 64 megapixels. Photos stay on this computer.",
        )
    with pick:
        seed = choose_sample()
    try:
        chosen = choose_upload(read(uploads))
        if chosen is None:
            with st.spinner("Rendering the sample …"):
                sample = cached.sample(seed, SAMPLES[seed])
            show(sample.photo, card, height, best, sample)
        else:
            show(chosen, card, height, best, None)
    except (weights.WeightsError, DeviceError, PhotoError) as error:
        st.error(plain(str(error)))
    except MemoryError:
        st.error("There is not enough memory for this photo at this detail. Choose a lower detail or a smaller photo.")
    with st.expander("What am I looking at?", icon=":material/help:"):
        st.markdown(EXPLANATION)
    draw_thumbnails(seed)  # last: rendering six streets takes seconds


def detail(card: weights.Card) -> tuple[int, bool]:
    """The working height that the visitor chose, and whether the best quality is asked for."""
    heights = {name: round(card.working_height * factor) for name, factor in DETAIL.items()}
    with st.sidebar:
        name = st.segmented_control(
            "Detail",
            list(DETAIL),
            default="Default",
            required=True,
            key="detail",
            persist_state="session",
            width="stretch",
            help="To what size a photo is brought before it goes through the network. Masks have the photo's own size. Best "
            "takes the mean of three sizes, each also mirrored: better, and several times slower.",
        )
        size = f"{preprocess.PAIR_ASPECT * heights[name]} × {heights[name]}"
        words = " and at sizes around it" if name == "Best" else ""
        st.caption(f"A 2:1 photo goes through the network at {size} pixels{words}.")
    return heights[name], name == "Best"


def choose_sample() -> int:
    """The seed of the sample that the visitor picked last; the first one until then."""

    def pick(seed: int) -> None:
        st.session_state.sample, st.session_state.photo = seed, None

    chosen = st.session_state.get("sample", next(iter(SAMPLES)))
    st.html('<p class="label">Or a rendered street</p>')
    with st.container(horizontal=True, gap="small", key="samples"):
        for seed, name in SAMPLES.items():
            st.button(name, key=f"sample-{seed}", on_click=pick, args=(seed,), width="stretch")
    return chosen


def draw_thumbnails(chosen: int) -> None:
    """Put the samples' pictures behind their buttons."""
    shade = "linear-gradient(#0000 45%, #000b)"
    ring = ".st-key-sample-{} button {{ outline: 3px solid var(--chosen); outline-offset: 2px; }}"
    st.html(f"<style>{ring.format(chosen) if st.session_state.get('photo') is None else ''}</style>")
    for seed, name in SAMPLES.items():
        picture = data_url(cached.sample(seed, name).thumbnail)
        st.html(f"<style>.st-key-sample-{seed} button {{ background-image: {shade}, url({picture}) !important; }}</style>")


def read(uploads: Sequence[Any]) -> dict[str, cached.Photo]:
    """The uploads that are photos, by upload; why the others are none is said on the page."""
    photos = {}
    for upload in uploads:
        try:
            photos[upload.file_id] = cached.photo(unquoted(upload.name), upload.getvalue())
        except PhotoError as error:
            st.error(f"**{plain(unquoted(upload.name))}**: {plain(str(error))}", icon=":material/broken_image:")
    return photos


def unquoted(name: str) -> str:
    """A file's name as it was: browsers write quotes and line ends in it as %22, %0D and %0A (HTML standard, form submission)."""
    return name.replace("%22", '"').replace("%0D", " ").replace("%0A", " ")


def choose_upload(photos: Mapping[str, cached.Photo]) -> cached.Photo | None:
    """The upload to look at: the first of those that came last, until another or a sample is picked (None)."""
    state = st.session_state
    new = [key for key in photos if key not in state.get("known", ())]
    state.known = list(photos)
    if new or state.get("photo") not in (None, *photos):
        state.photo = next(iter(new or photos), None)
    if not photos:
        return None
    names = {key: plain(_short(photo.name)) for key, photo in photos.items()}
    st.pills("Your photos", list(photos), format_func=names.get, key="photo", label_visibility="collapsed")
    return photos.get(state.photo)


def show(photo: cached.Photo, card: weights.Card, height: int, best: bool, sample: cached.Sample | None) -> None:
    """All about one photo."""
    tools = st.container(horizontal=True, vertical_alignment="bottom", gap="medium", key="tools")
    with tools:
        variants = st.pills(
            "Variants",
            card.variants,
            selection_mode="multi",
            default=card.variants,
            format_func=TITLES.get,
            key=f"variants-{'-'.join(card.variants)}",  # other weights, other choice: the old one may not be in them
            persist_state="session",
        )
        view = st.segmented_control(
            "View", ["Overlay", "Mask alone"], default="Overlay", required=True, key="view", persist_state="session"
        )
        if view == "Overlay":
            opacity = st.slider("Opacity", 0, 100, 60, format="%d %%", key="opacity", persist_state="session", width=180) / 100
        else:
            opacity = 0.6
        with_truth = sample is not None and st.toggle(
            "Show the truth",
            key="truth",
            persist_state="session",
            help="The renderer knows the class of every pixel. Mean IoU: how far mask and truth cover each other, averaged over "
            "the classes, 1 at best.",
        )
    variants = [variant for variant in card.variants if variant in variants]
    place = st.empty()
    ratio = photo.width / photo.height
    photo_layer = Layer(photo.jpeg, "photo", photo.name)
    asked = (photo.digest, cached.digest(card), height, best)
    if st.session_state.get("answered") != asked:
        place.html(panes([Pane("Photo", [photo_layer], photo.name)], ratio, 2))  # at once, while the network works
    with st.spinner(f"Looking at {plain(_short(photo.name))} …", show_time=True):
        answer = cached.answer(photo, card, height, best=best, everyone=sample is not None)
    st.session_state.answered = asked
    over = view == "Overlay"
    st.html(f"<style>:root {{ --mask-opacity: {opacity}; }}</style>")

    def laid(caption: str, png: bytes, shown: bytes, kind: str, variant: str, note: str) -> Pane:
        if over:
            under = Layer(photo.jpeg, "under", "")
            return Pane(caption, [under, Layer(shown, kind, f"{caption} over the photo", variant, "exact over")], note)
        return Pane(caption, [Layer(png, kind, f"{caption}: the class of each pixel", variant, "exact")], note)

    pictures = [Pane("Photo", [photo_layer], f"{photo.name} · rendered" if sample else _short(photo.name))]
    for variant in variants:
        png = answer.pngs[variant]
        note = ""
        if sample:
            note = f"mean IoU {cached.mean_iou(photo.digest, cached.key(png), sample.truth, png):.2f}"
        pictures.append(laid(TITLES[variant], png, answer.shown[variant], "overlay" if over else "mask", variant, note))
    if with_truth:
        pictures.append(laid("Truth", sample.truth, sample.truth, "truth", "", "exact; black has no class"))
    across = min(4, len(pictures)) if ratio < 0.9 else {1: 2, 2: 2, 4: 2}.get(len(pictures), 3)
    place.html(panes(pictures, ratio, across))
    if not variants:
        st.info("Choose a variant to see its mask.", icon=":material/touch_app:")
        return
    classes(answer, variants, sample if with_truth else None)
    if len(variants) > 1:
        disagreement(photo, answer, variants)
    st.html(charts.times(answer.seconds, answer.device, answer.working_size))
    files(photo, card, answer, variants, opacity, best)


def classes(answer: cached.Answer, variants: Sequence[str], truth_of: cached.Sample | None) -> None:
    """The legend of the classes present with their shares, as a table and as bars."""
    shares = {TITLES[variant]: answer.shares[variant] for variant in variants}
    if truth_of:
        shares["Truth"] = masks.shares(masks.read_png(truth_of.truth))
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


def disagreement(photo: cached.Photo, answer: cached.Answer, variants: Sequence[str]) -> None:
    """Where the variants name different classes: the share of the pixels, and a picture."""
    st.subheader("Where they disagree", anchor=False)
    picture, figures = st.columns([3, 2], gap="large")
    more = masks.disagreement({v: masks.read_png(answer.shown[v]) for v in variants})
    layers = [
        Layer(photo.jpeg, "under", "", classes="dim"),
        Layer(highlight(more), "disagreement", "The pixels on which the variants disagree", classes="exact"),
    ]
    legend = "amber: two classes named" + (", red: three" if len(variants) > 2 else "")
    picture.html(panes([Pane("Disagreement", layers, legend)], photo.width / photo.height, 1))
    with figures:
        share = answer.differ[tuple(variants)]
        st.metric("Pixels given different classes", charts.percent(share) if share else "0%")
        if len(variants) > 2:
            pairs = {pair: part for pair, part in answer.differ.items() if len(pair) == 2 and set(pair) <= set(variants)}
            st.html(charts.pairs({f"{TITLES[a]} and {TITLES[b]}": part for (a, b), part in pairs.items()}))


def files(
    photo: cached.Photo, card: weights.Card, answer: cached.Answer, variants: Sequence[str], opacity: float, best: bool
) -> None:
    """The downloads."""
    stem = downloads.safe_stem(photo.name)
    height, width = answer.working_size
    record = {  # the same keys as `python -m seg predict` writes, and two more
        "photo": photo.name,
        "width": photo.width,
        "height": photo.height,
        "working_size": {"width": width, "height": height},
        "shares": {v: answer.shares[v] for v in variants},
        "best_quality": best,
        "disagreement": {" ".join(group): part for group, part in answer.differ.items() if set(group) <= set(variants)},
        "seconds": answer.seconds,
        "device": answer.device,
        "weights": card.name,
        "weights_sha256": card.sha256,
    }
    st.subheader("Downloads", anchor=False)
    with st.container(horizontal=True, gap="small", key="files"):
        for variant in variants:
            st.download_button(
                f"{TITLES[variant]} mask",
                answer.pngs[variant],
                f"{stem}.{variant}.png",
                "image/png",
                key=f"mask-{variant}",
                on_click="ignore",
                icon=":material/download:",
                help="An indexed PNG of the photo's own size: its indices are the Cityscapes train ids.",
            )
        st.download_button(
            "Everything as a zip",
            partial(_zip, stem, photo.data, answer, tuple(variants), opacity, record),
            f"{stem}.zip",
            "application/zip",
            key="zip",
            on_click="ignore",
            icon=":material/folder_zip:",
            help="Masks, overlays at the chosen opacity, class shares as CSV, and what is known of this prediction as JSON.",
        )


def _zip(
    stem: str, data: bytes, answer: cached.Answer, variants: Sequence[str], opacity: float, record: Mapping[str, Any]
) -> bytes:
    return downloads.bundle(stem, read_photo(data), answer.pngs, variants, opacity, record)


def _short(name: str, most: int = 40) -> str:
    return name if len(name) <= most else f"{name[: most - 9]}…{name[-8:]}"


main()
