"""The views Confusion matrix and Worst images: frequent errors and the images that contain them."""

from collections.abc import Sequence

import numpy as np
import streamlit as st

from seg.evaluation import store
from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import ModelCard
from ui.components.confusion_matrix import confusion_matrix
from ui.dataset.pair_cache import ChosenSplit
from ui.evaluation import evaluation_runs
from ui.shared.text import plain
from ui.state.session import forget_unless, session

RECALL, PRECISION, PIXELS = "Recall", "Precision", "Pixels"
MEAN_IOU = "mean IoU"

_NORMALIZATIONS = {
    RECALL: "Percentage of the pixels of a row’s ground-truth class that were predicted as each column’s "
    "class. The diagonal is recall.",
    PRECISION: "Percentage of the pixels predicted as a column’s class that belong to each row’s "
    "ground-truth class. The diagonal is precision.",
    PIXELS: "Pixel counts in percent of the largest cell.",
}


def draw_confusion(
    card: ModelCard, pairs: ChosenSplit | None, evaluation: store.StoredEvaluation | None
) -> None:
    """Draw the confusion matrix of a variant and the images of the chosen cell.

    Args:
        card: Card of the weights.
        pairs: The evaluation split.
        evaluation: Evaluation on these pairs, if there is one.
    """
    left, right = st.columns([1, 1])
    with left:
        variant = choose_variant(card)
    with right:
        normalization = st.segmented_control(
            "Values",
            [RECALL, PRECISION, PIXELS],
            default=RECALL,
            required=True,
            key="of",
            bind="query-params",
        )
    if evaluation:
        counts = evaluation.of(variant).sum(0)
    else:
        counts = np.array(card.metrics["variants"][variant]["confusion"])
    cell = session().get("cell")
    clicked = confusion_matrix(
        normalized(counts, normalization),
        _cell_texts(counts, card.classes),
        cell,
        key=f"matrix-{len(card.classes)}",
        classes=card.class_set,
    )
    st.caption(
        _NORMALIZATIONS[normalization]
        + " Colors scale with the square root, so that rare errors are visible."
    )
    if clicked and clicked != cell:
        session()["cell"] = clicked
        st.rerun()
    names = card.classes
    if cell is None or max(cell) >= len(names):  # of other weights
        return
    truth, prediction = cell
    title = names[truth].capitalize() + (
        ", correctly predicted" if truth == prediction else f" predicted as {names[prediction]}"
    )
    st.subheader(plain(title), anchor=False)
    if evaluation is None or pairs is None:
        reason = (
            "The model card contains the matrix but not the images. Evaluate the weights here to list them."
        )
        evaluation_runs.evaluate_section(card, pairs, reason)
        return
    cells = store.images_in_cell(evaluation.of(variant), truth, prediction)
    images = [(index, f"{pixels:,} pixels") for index, pixels in cells]
    evaluation_runs.image_section(card, pairs, images, key="behind")


def draw_worst(card: ModelCard, pairs: ChosenSplit | None, evaluation: store.StoredEvaluation | None) -> None:
    """Draw the images with the lowest scores.

    Args:
        card: Card of the weights.
        pairs: The evaluation split.
        evaluation: Evaluation on these pairs, if there is one.
    """
    if evaluation is None or pairs is None:
        reason = "The model card has no per-image metrics. Evaluate the weights here to rank the images."
        evaluation_runs.evaluate_section(card, pairs, reason)
        return
    left, right = st.columns([1, 1])
    with left:
        variant = choose_variant(card)
    with right:
        forget_unless("worst_by", [MEAN_IOU, *card.classes])
        metric = st.selectbox(
            "Sort by",
            [MEAN_IOU, *card.classes],
            key="worst_by",
            bind="query-params",
            format_func=lambda name: name if name == MEAN_IOU else f"IoU of {name}",
        )
    class_id = None if metric == MEAN_IOU else card.classes.index(metric)
    images = [(index, f"{score:.3f}") for index, score in store.rank_worst(evaluation.of(variant), class_id)]
    caption = f"{len(images):,} images, the worst first."
    if class_id is None:
        caption += " The mean is over the classes of the ground truth of each image."
    if class_id is not None:
        caption += f" Only images with at least {store.LEAST} ground-truth pixels of {plain(metric)}."
    st.caption(caption)
    evaluation_runs.image_section(card, pairs, images, key="worst")


def choose_variant(card: ModelCard) -> str:
    """Draw the choice of a variant, by default the finest, and return it."""
    return st.segmented_control(
        "Network",
        card.variants,
        default=card.variants[-1],
        required=True,
        format_func=lambda variant: DISPLAY_NAMES[variant],
        key="scored_variant",
        bind="query-params",
    )


def normalized(counts: np.ndarray, normalization: str) -> np.ndarray:
    """Normalize a confusion matrix.

    Args:
        counts: K x K pixel counts, rows: ground truth, columns: prediction.
        normalization: One of `RECALL`, `PRECISION` and `PIXELS`.

    Returns:
        K x K shares (0 to 1); NaN for empty cells.
    """
    totals = {
        RECALL: counts.sum(1, keepdims=True),
        PRECISION: counts.sum(0, keepdims=True),
        PIXELS: counts.max(keepdims=True),
    }[normalization]
    return np.divide(counts, totals, out=np.full(counts.shape, np.nan), where=(totals > 0) & (counts > 0))


def _cell_texts(counts: np.ndarray, names: Sequence[str]) -> list[list[str]]:
    rows, columns = counts.sum(1), counts.sum(0)

    def text(truth: int, prediction: int) -> str:
        pixels = counts[truth, prediction]
        correct = truth == prediction
        pair = f"{names[truth]} {'correctly predicted' if correct else f'predicted as {names[prediction]}'}"
        if not pixels:
            return f"No pixel: {pair}."
        return (
            f"{pair}: {pixels:,} pixels, {pixels / rows[truth]:.2%} of the ground truth of {names[truth]}, "
            f"{pixels / columns[prediction]:.2%} of the predictions of {names[prediction]}."
        )

    return [[text(truth, prediction) for prediction in range(len(names))] for truth in range(len(names))]
