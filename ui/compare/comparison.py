"""The comparison of networks on one photo: viewer, class shares, metrics, times and downloads."""

from collections.abc import Sequence
from itertools import combinations

import streamlit as st

from seg.evaluation import agreement
from seg.evaluation.calibration import PERCENTILE
from seg.evaluation.leaderboard import about_methods
from seg.inference import mask_io
from seg.inference.foreign_model import ForeignModel
from seg.models.factory import ARCHITECTURES
from seg.models.model_card import ModelCard
from ui.compare import foreign_network
from ui.compare.export import export_section
from ui.compare.ground_truth import ground_truth_uploader, known_truth, truth_section
from ui.compare.prediction_view import (
    Mask,
    finest,
    in_order,
    masks_of,
    published_scores,
    score_masks,
    shown_variants,
    viewer_payload,
)
from ui.components.viewer import viewer
from ui.shared import charts
from ui.shared.class_matching import compared_classes, label_in_classes, unmatched_notes
from ui.shared.layout import fresh_container
from ui.shared.text import plain, short
from ui.state import predictions
from ui.state.model_pool import (
    OnQueuePosition,
    card_digest,
    engine_name,
    ignore_queue_position,
    queue_notice,
)
from ui.state.photos import Photo
from ui.state.session import session


def show(
    photo: Photo, cards: Sequence[ModelCard], factor: float, tta: bool, foreign: ForeignModel | None = None
) -> None:
    """Draw the comparison; networks without a cached prediction follow one by one.

    Args:
        photo: Photo to segment.
        cards: Cards of the weights to compare.
        factor: Multiple of each card's working height.
        tta: Whether to use test-time augmentation.
        foreign: A network of others to compare with.
    """
    predicted = session().setdefault("predicted", set())
    truth = known_truth(photo)
    classes = compared_classes(cards, truth and truth[1])
    label = truth and label_in_classes(*truth, classes)
    variants = {card.name: shown_variants(card, cards) for card in cards}
    keys = {card.name: (photo.digest, card_digest(card), factor, tta, variants[card.name]) for card in cards}
    ready = [card for card in in_order(cards) if keys[card.name] in predicted]
    # the fastest first: a slower network does not delay the masks of the others
    speed_order = list(ARCHITECTURES)
    pending = [card for card in cards if card not in ready]
    pending.sort(key=lambda card: speed_order.index(card.architecture))

    def predict(
        card: ModelCard, on_queue_position: OnQueuePosition = ignore_queue_position
    ) -> predictions.CachedPrediction:
        height, chosen = round(card.working_height * factor), variants[card.name]
        return predictions.predict(
            photo, card, height, tta=tta, variants=chosen, on_queue_position=on_queue_position
        )

    with st.spinner(f"Segmenting {plain(short(photo.name))} …", show_time=True):
        results = [(card, predict(card)) for card in ready]
    masks = [mask for card, prediction in results for mask in masks_of(card, prediction, cards, classes)]
    scored = score_masks(photo, masks, label)
    other = foreign and foreign_network.pane(photo, foreign, classes, is_awaited=bool(pending))
    scores = published_scores(factor, tta)
    payload = viewer_payload(photo, masks, cards, label, scored, scores, classes, [other] if other else [])
    point = viewer(payload, key="viewer")
    progress, below = st.empty(), fresh_container(bool(pending))
    if pending:
        card = pending[0]
        text = f"Segmenting {plain(short(photo.name))} with {plain(card.name)}"
        text += f" ({len(ready) + 1} of {len(cards)})" * (len(cards) > 1)
        text += ": three scales and their mirror images …" if tta else " …"
        with progress.container(key="progress"), st.spinner(text, show_time=True):
            predict(card, queue_notice())
        predicted.add(keys[card.name])
        st.rerun()
    with below:
        if published_scores(factor, tta) == "variants":  # the limits are those of this detail
            show_unlike_training(masks)
        _show_results(photo, cards, results, masks, label, scored, point)
        export_section(photo, masks, factor, tta)


def _show_results(
    photo: Photo,
    cards: Sequence[ModelCard],
    results: Sequence[tuple[ModelCard, predictions.CachedPrediction]],
    masks: Sequence[Mask],
    label: bytes | None,
    scored: dict[str, predictions.MaskMetrics],
    point: tuple[int, int] | None,
) -> None:
    for note in unmatched_notes(cards):
        st.caption(plain(note))
    if about := about_methods(cards):
        st.caption(
            f"{about} Each time is that of a single prediction under the present load of this server. The "
            "Evaluation page measures all networks under the same conditions."
        )
    if point and point[0] < photo.width and point[1] < photo.height:
        show_pixel(photo, masks, label, point)
    if not photo.rendered:
        ground_truth_uploader(photo, cards[0].class_set)
    class_section(photo, masks, label)
    if label is not None:
        truth_section(photo, masks, label, scored)
    if engine := engine_name():
        st.caption(
            f"{engine} computes these masks; the scores of the model cards are those of PyTorch in fp32."
        )
    for card, prediction in results:
        prefix = f"{card.name}: " if len(results) > 1 else ""
        st.html(charts.times(prediction.seconds, prediction.device, prediction.working_size, prefix))
        if prediction.note:
            st.info(prediction.note, icon=":material/memory:")


def show_unlike_training(masks: Sequence[Mask]) -> None:
    """Note the networks whose logits are lower than on nearly all held-out photos of their training.

    Args:
        masks: The masks of a photo; those of cards without a calibration are left out.
    """
    for mask in finest(masks):
        calibration = mask.card.calibration
        if calibration is None:
            continue
        max_logit = mask.prediction.max_logits[mask.variant]
        limit = calibration["max_logit_limit"][mask.variant]
        if max_logit < limit:
            st.caption(
                f":material/info: This photo is unlike the training photos of {plain(mask.card.name)}, so "
                f"its mask may have more errors. The mean maximum logit of {mask.title} is {max_logit:.1f}; "
                f"on {PERCENTILE} % of {calibration['images']:,} held-out photos it is greater than "
                f"{limit:.1f}."
            )


def show_pixel(photo: Photo, masks: Sequence[Mask], label: bytes | None, point: tuple[int, int]) -> None:
    """Show the predictions of every network at the pinned pixel.

    Args:
        photo: The photo.
        masks: Its masks.
        label: Ground truth as an indexed PNG, if known.
        point: Column and row in the photo's own pixels.
    """
    size, classes = photo.shown_size, masks[0].classes
    x, y = _scaled(point, (photo.width, photo.height), size)
    rows = []
    for mask in masks:
        prediction, variant = mask.prediction, mask.variant
        working_size = prediction.working_size[::-1]
        column, row = _scaled((x, y), size, working_size)
        class_id = int(predictions.inflate(prediction.masks[variant], size)[y, x])
        confidence = predictions.inflate(prediction.confidence[variant], working_size)[row, column] / 255
        runner_up = int(predictions.inflate(prediction.runner_up[variant], working_size)[row, column])
        runner_up_name = classes.names[runner_up] if runner_up != class_id else ""
        rows.append((mask.title, classes.names[class_id], f"{confidence:.0%}", runner_up_name))
    if label is not None:
        class_id = int(predictions.shown_truth(photo, label)[y, x])
        rows.append(
            ("Ground truth", classes.names[class_id] if class_id < len(classes) else "no class", "", "")
        )
    st.html(charts.pixel_table(f"At x {point[0]}, y {point[1]}", rows, classes))


def class_section(photo: Photo, masks: Sequence[Mask], label: bytes | None) -> None:
    """Show the class shares of all masks as a table and as bars, and the disagreement between masks."""
    shares, classes = {mask.title: mask.shares for mask in masks}, masks[0].classes
    if label is not None:
        shares["Ground truth"] = mask_io.shares(mask_io.read_png(label), classes)
    st.subheader("Classes", anchor=False)
    table, bars = st.columns([2, 3], gap="large")
    table.html(charts.legend(shares, classes))
    with bars:
        st.caption("Share of the image")
        st.plotly_chart(
            charts.share_bars(shares, classes),
            config={"displayModeBar": False},
            key="share-bars",
            alt="Stacked bars of the class shares in each mask. The table has the values.",
        )
        disagreement = disagreement_shares(photo, masks)
        if disagreement:
            st.caption("Disagreement: share of the image with different predictions")
            st.html(charts.share_table(disagreement))


def disagreement_shares(photo: Photo, masks: Sequence[Mask]) -> dict[str, float]:
    """Compute the share of the pixels on which groups of masks differ.

    Returns:
        Shares (0 to 1) by the titles of the group: variants of the same weights, and the finest masks of all
        weights.
    """
    finest_masks = finest(masks)
    shares: dict[str, float] = {}
    for mask in finest_masks:
        titles = {variant.variant: variant.title for variant in masks if variant.card is mask.card}
        for group, share in mask.prediction.disagreement.items():
            if titles.keys() >= set(group):
                shares[", ".join(titles[variant] for variant in group)] = share
    ids = {
        mask.title: predictions.inflate(mask.prediction.masks[mask.variant], photo.shown_size)
        for mask in finest_masks
    }
    for count in range(2, len(ids) + 1):
        for group in combinations(ids, count):
            shares[", ".join(group)] = agreement.disagreement_share({title: ids[title] for title in group})
    return shares


def _scaled(point: tuple[int, int], size: tuple[int, int], target: tuple[int, int]) -> tuple[int, ...]:
    """Map a pixel of a picture to the same place in the picture resized to `target`."""
    return tuple(min(b - 1, value * b // a) for value, a, b in zip(point, size, target, strict=True))
