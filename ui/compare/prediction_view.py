"""The masks of a photo as the viewer shows them, with metrics if the ground truth is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.evaluation import agreement
from seg.inference import mask_io
from seg.models.factory import DISPLAY_NAMES, OUTPUT_STRIDE, method_name
from seg.models.model_card import ModelCard
from seg.models.registry import METHODS
from ui.components.viewer import Pane, deflate, pack, present
from ui.shared.charts import seconds_text
from ui.shared.class_matching import in_classes
from ui.shared.text import short
from ui.state import predictions
from ui.state.photos import Photo, content_digest

PublishedScores = Literal["variants", "tta", "none"]
"""The part of a card's metrics that applies to the chosen detail."""


@dataclass(frozen=True)
class Mask:
    """The mask of one variant of some weights."""

    id: str  # in the viewer, in links and in file names
    title: str
    card: ModelCard
    variant: str
    prediction: predictions.CachedPrediction
    visible_by_default: bool  # all variants of the first weights, the finest one of the others
    classes: ClassSet  # of the ids in `prediction`

    @property
    def shares(self) -> dict[str, float]:
        """Class shares (0 to 1) by name."""
        return self.prediction.shares[self.variant]


def are_methods(cards: Sequence[ModelCard]) -> bool:
    """Return whether the cards are of different architectures: then the finest mask of each is compared."""
    return len(cards) > 1 and len({card.architecture for card in cards}) == len(cards)


def shown_variants(card: ModelCard, cards: Sequence[ModelCard]) -> tuple[str, ...]:
    """Return the variants of a card that are computed and shown when `cards` are compared."""
    return (card.variants[-1],) if are_methods(cards) else tuple(card.variants)


def published_scores(factor: float, tta: bool) -> PublishedScores:
    """Return which scores of a card apply: those at the working height, those with TTA, or none.

    Args:
        factor: Multiple of the card's working height.
        tta: Whether test-time augmentation is used.
    """
    return "tta" if tta else "variants" if factor == 1 else "none"


def in_order(cards: Sequence[ModelCard]) -> list[ModelCard]:
    """Return the cards in display order: methods in the order of `METHODS`, others as chosen."""
    place = {name: number for number, name in enumerate(METHODS)}
    return (
        sorted(cards, key=lambda card: place.get(card.name, len(place)))
        if are_methods(cards)
        else list(cards)
    )


def masks_of(
    card: ModelCard,
    prediction: predictions.CachedPrediction,
    cards: Sequence[ModelCard],
    classes: ClassSet = CITYSCAPES,
) -> list[Mask]:
    """Return the masks of some weights; the titles of compared weights contain their name.

    Args:
        card: Card of the weights.
        prediction: Their prediction.
        cards: Cards of all compared weights.
        classes: Classes in which the masks are shown, those of all compared weights.
    """
    is_first, methods = card is cards[0], are_methods(cards)
    shown = in_classes(prediction, card.class_set, classes)

    def title(variant: str) -> str:
        if methods:
            return method_name(card.architecture, variant)
        return DISPLAY_NAMES[variant] + f" of {card.name}" * (not is_first)

    return [
        Mask(
            id=_id(card, variant, cards),
            title=title(variant),
            card=card,
            variant=variant,
            prediction=shown,
            visible_by_default=is_first or variant == card.variants[-1],
            classes=classes,
        )
        for variant in shown_variants(card, cards)
    ]


def _id(card: ModelCard, variant: str, cards: Sequence[ModelCard]) -> str:
    return variant if card is cards[0] and not are_methods(cards) else f"{card.name}-{variant}"


def finest(masks: Sequence[Mask]) -> list[Mask]:
    """Return the finest mask of each of the weights."""
    return list({mask.card.name: mask for mask in masks}.values())


def viewer_payload(
    photo: Photo,
    masks: Sequence[Mask],
    cards: Sequence[ModelCard],
    label: bytes | None,
    scored: Mapping[str, predictions.MaskMetrics],
    scores: PublishedScores = "variants",
    classes: ClassSet = CITYSCAPES,
    others: Sequence[Pane] = (),
) -> bytes:
    """Pack the viewer's message: the photo, its masks, and placeholders for methods whose mask is not
    computed yet.

    Args:
        photo: The photo.
        masks: Masks computed so far.
        cards: Cards of all compared weights.
        label: Ground truth as an indexed PNG, if known.
        scored: Metrics against the ground truth, by the id of the mask.
        scores: Which of a card's scores to show below its masks.
        classes: Classes of the masks and of the ground truth.
        others: Panes of networks of others.
    """
    methods, name = are_methods(cards), "rendered" if photo.rendered else short(photo.name)
    panes = [Pane("photo", "Photo", "photo", name, shown=not methods)]
    for card in in_order(cards):
        card_masks = [mask for mask in masks if mask.card is card]
        panes += [mask_pane(mask, scored.get(mask.id), scores, several=len(cards) > 1) for mask in card_masks]
        if methods and not card_masks:
            variant = card.variants[-1]
            panes.append(
                Pane(
                    _id(card, variant, cards),
                    method_name(card.architecture, variant),
                    "awaited",
                    "computing …",
                )
            )
    panes += others
    compared = finest(masks)
    if methods and len(compared) > 1:
        panes.append(_disagreement_pane(photo, compared))
    shares = [mask.shares for mask in masks]
    if label is not None:
        truth = deflate(predictions.shown_truth(photo, label))
        panes.append(Pane("truth", "Ground truth", "truth", shown=not photo.rendered, ids=truth))
        shares.append(mask_io.shares(mask_io.read_png(label), classes))
    size, waiting = (photo.width, photo.height), len(compared) < len(cards)
    is_upload = not photo.rendered
    return pack(
        photo.jpeg,
        photo.shown_size,
        size,
        panes,
        present(shares, classes),
        own=is_upload,
        waiting=waiting,
        classes=classes,
    )


def _disagreement_pane(photo: Photo, masks: Sequence[Mask]) -> Pane:
    ids = {
        mask.id: predictions.inflate(mask.prediction.masks[mask.variant], photo.shown_size) for mask in masks
    }
    note = f"{agreement.disagreement_share(ids):.1%} of the image"
    return Pane("disagreement", "Disagreement map", "disagreement", note, compared=tuple(ids))


def mask_pane(
    mask: Mask, measured: predictions.MaskMetrics | None, scores: PublishedScores, *, several: bool
) -> Pane:
    """Return the pane of a mask.

    Args:
        mask: The mask.
        measured: Its metrics against the ground truth, if known.
        scores: Which of the card's scores to show below it.
        several: Whether masks of several weights are shown, with their times.
    """
    prediction, variant = mask.prediction, mask.variant
    published = mask.card.metrics.get(scores, {}).get(variant)
    ious = []
    if published and published["mean_iou"] is not None:
        on_all = published.get("all_labelled", {}).get("mean_iou")
        details = "" if on_all is None else f" ({on_all:.2f} on all labelled pixels)"
        ious.append(f"{published['mean_iou']:.2f} on {mask.card.metrics['split']}{details}")
    if measured:
        ious.append(f"{measured.scores.mean_iou_in_target:.2f} here")
    notes = [f"mean IoU {', '.join(ious)}"] if ious else []
    notes += [seconds_text(sum(prediction.seconds.values()))] if several else []
    return Pane(
        id=mask.id,
        title=mask.title,
        kind="mask",
        note=" · ".join(notes),
        shown=mask.visible_by_default,
        ids=prediction.masks[variant],
        confidence=prediction.confidence[variant],
        runner_up=prediction.runner_up[variant],
        entropy=prediction.entropy[variant],
        working_size=prediction.working_size[::-1],
        stride=OUTPUT_STRIDE.get(variant),
    )


def score_masks(
    photo: Photo, masks: Sequence[Mask], label: bytes | None
) -> dict[str, predictions.MaskMetrics]:
    """Compute metrics against the ground truth.

    Args:
        photo: The photo.
        masks: Its masks.
        label: Ground truth as an indexed PNG; None if it is unknown.

    Returns:
        Metrics by the id of the mask; empty without a ground truth.
    """
    if label is None:
        return {}
    digest, truth = content_digest(label), predictions.shown_truth(photo, label)

    def score(mask: Mask) -> predictions.MaskMetrics:
        deflated = mask.prediction.masks[mask.variant]
        ids = predictions.inflate(deflated, photo.shown_size)
        return predictions.score_mask(digest, content_digest(deflated), len(mask.classes), truth, ids)

    return {mask.id: score(mask) for mask in masks}
