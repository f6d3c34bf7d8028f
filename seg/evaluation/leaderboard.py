"""The leaderboard: metrics of all published networks and baselines, with the cell-share references and
measured times.

The metrics come from the cards that `publish` wrote; `measure` measures the times on this machine.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from seg.data.cityscapes import CITYSCAPES
from seg.data.classes import ClassSet
from seg.data.decode_cache import HELD_OUT
from seg.data.pairs import PAIR_ASPECT, OnProgress
from seg.evaluation import evaluate
from seg.evaluation.bootstrap import PairedDifference, paired_difference
from seg.evaluation.grid_reference import GridReference
from seg.evaluation.photo_counts import counts_key, published_counts
from seg.inference.device import Device, pick_device
from seg.inference.postprocess import to_mask
from seg.inference.predictor import Predictor
from seg.inference.tta import TTA_SCALES
from seg.models import encoder
from seg.models.base import SegmentationModel
from seg.models.factory import ARCHITECTURES, OUTPUT_STRIDE, Architecture, create_model, method_name
from seg.models.model_card import ModelCard
from seg.models.registry import METHODS, list_weights, read_card

STRIDES = (8, 16, 32)
"""Output strides of the cell-share references, in pixels."""

HEIGHTS = (256, 320, 384, 512)
"""Input heights of the cell-share references, besides those of the cards; inputs are twice as wide."""

REPEATS = 6
"""Number of turns in which the times are measured."""

TimingCase = tuple[Architecture, encoder.ResNetVersion, str, bool, int]
"""The factors of a time: architecture, ResNet version, variant, test-time augmentation, working height."""


@dataclass(frozen=True)
class LeaderboardRow:
    """One variant of one card.

    Attributes:
        weights: name of the weights.
        is_baseline: whether the network is not published and was evaluated only for comparison.
        architecture: its architecture.
        network: its name for users.
        variant: the variant.
        tta: whether the metrics are those of test-time augmentation.
        parameters: number of parameters.
        samples_seen: crops seen in training, including those of the weights that it was initialized from.
        start: origin of the encoder's parameters.
        height: working height in pixels.
        report: `evaluate.report`; without intervals and boundary IoU if another version evaluated the card.
        seconds: time for a 2:1 photo of 512 x 1024, from preprocessing to mask; None if not measured.
        common_height: the greatest working height of all cards, at which times are comparable.
        common_case: the case of the time at that height.
        common_seconds: the time at that height; None if not measured.
        grid_reference: the cell-share reference of the output grid; None for test-time augmentation, for
            networks without one, and if the row was evaluated on other pairs.
    """

    weights: str
    is_baseline: bool
    architecture: Architecture
    network: str
    variant: str
    tta: bool
    parameters: int
    samples_seen: int
    start: str
    height: int
    report: dict[str, Any]
    seconds: float | None
    common_height: int
    common_case: TimingCase
    common_seconds: float | None
    grid_reference: GridReference | None


def cards(
    baselines: Path, registry: Path | None = None, classes: ClassSet = CITYSCAPES
) -> tuple[list[ModelCard], list[ModelCard]]:
    """Read the cards of the published weights and of the baselines that predict the same classes.

    Args:
        baselines: a registry that contains only cards, of networks that are not shipped.
        registry: the registry of the weights; by default all of `paths.registries()`.
        classes: the classes; weights with others cannot be compared.

    Returns:
        The cards of the published weights, and those of the baselines.

    Raises:
        WeightsError: if a card cannot be used.
    """
    both = ([read_card(name, folder) for name in list_weights(folder)] for folder in (registry, baselines))
    published, others = ([card for card in found if card.class_set.names == classes.names] for found in both)
    return published, others


def rows(
    published: Sequence[ModelCard],
    baselines: Sequence[ModelCard],
    references: Mapping[tuple[int, int], GridReference],
    digest: str,
    seconds: Mapping[TimingCase, float],
) -> list[LeaderboardRow]:
    """Create a row for each variant of each card.

    Args:
        published: the cards of the published weights.
        baselines: the cards of the baselines.
        references: cell-share references by input height and stride.
        digest: content hash of the pairs of these references.
        seconds: times from `measure`.
    """
    all_cards = (*published, *baselines)
    common_height = _common_height(all_cards)
    return [
        LeaderboardRow(
            weights=card.name,
            is_baseline=card in baselines,
            architecture=card.architecture,
            network=method_name(card.architecture, variant) + ", multi-scale + flip" * tta,
            variant=variant,
            tta=tta,
            parameters=card.parameters,
            samples_seen=_total_samples(card),
            start=_encoder_origin(card),
            height=card.working_height,
            report=report if is_current(card) else report | {"intervals": {}, "boundary_iou": None},
            seconds=seconds.get(timing_case(card, variant, tta, card.working_height)),
            common_height=common_height,
            common_case=timing_case(card, variant, tta, common_height),
            common_seconds=seconds.get(timing_case(card, variant, tta, common_height)),
            grid_reference=references.get((card.working_height, OUTPUT_STRIDE.get(variant, 0)))
            if card.metrics.get("digest") == digest and not tta
            else None,
        )
        for card, variant, tta, report in _variants_with_report(all_cards)
    ]


def is_current(card: ModelCard) -> bool:
    """Return whether this version's evaluation made the metrics of a card: others cannot be compared."""
    return card.metrics.get("version", 1) == evaluate.EVALUATION_VERSION


@dataclass(frozen=True)
class Comparison:
    """Two published networks on the same photos.

    Attributes:
        first, second: weights and variant of each network.
        unambiguous: difference of mean IoU on the unambiguous pixels.
        all_labelled: the same on all labelled pixels.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    unambiguous: PairedDifference
    all_labelled: PairedDifference


def comparisons(published: Sequence[ModelCard], registry: Path | None = None) -> list[Comparison]:
    """Compare published networks on the photos of their common split.

    Args:
        published: the cards; networks are compared if the counts of their photos were published.
        registry: the registry of the counts; by default all of `paths.registries()`.

    Returns:
        Each variant against the next coarser one, then the finest variants of all weights against each other;
        the better one is first.
    """
    counts = {card.name: published_counts(card, registry) for card in published if is_current(card)}
    counted = [card for card in published if counts.get(card.name)]
    pairs = [
        ((card.name, finer), (card.name, coarser))
        for card in counted
        for coarser, finer in pairwise(card.variants)
    ]
    pairs += [
        ((one.name, one.variants[-1]), (other.name, other.variants[-1]))
        for one, other in combinations(counted, 2)
        if one.metrics["digest"] == other.metrics["digest"]
    ]

    def difference(pair: Sequence[tuple[str, str]], label_set: str | None) -> PairedDifference:
        # labels that are not of pairs are unambiguous everywhere, so their counts are the same
        first, second = (
            counts[name].get(counts_key(variant, label_set), counts[name][variant]) for name, variant in pair
        )
        return paired_difference(first, second)

    rows = []
    for pair in pairs:
        unambiguous = difference(pair, None)
        if unambiguous.mean_iou < 0:
            pair = pair[::-1]
            unambiguous = difference(pair, None)
        rows.append(Comparison(*pair, unambiguous, difference(pair, "all_labelled")))
    return rows


def timing_cases(cards: Sequence[ModelCard]) -> list[TimingCase]:
    """Return the cases that `rows` of these cards needs: at the heights of the cards and at the common
    height."""
    common_height = _common_height(cards)
    return sorted(
        {
            timing_case(card, variant, tta, height)
            for card, variant, tta, _ in _variants_with_report(cards)
            for height in (card.working_height, common_height)
        }
    )


def _variants_with_report(
    cards: Sequence[ModelCard],
) -> Iterator[tuple[ModelCard, str, bool, dict[str, Any]]]:
    """Yield card, variant, whether TTA was used, and report."""
    for card in cards:
        for tta, key in ((False, "variants"), (True, "tta")):
            for variant, report in card.metrics.get(key, {}).items():
                yield card, variant, tta, report


def timing_case(card: ModelCard, variant: str, tta: bool, height: int) -> TimingCase:
    """Return the case of a variant of published weights at a working height."""
    return card.architecture, card.encoder["strides"], variant, tta, height


def _encoder_origin(card: ModelCard) -> str:
    """Return the origin of the encoder's parameters: random, ImageNet, or the name of a file."""
    name, source = card.encoder["name"], card.encoder["source"]
    return "random" if name == "none" else "ImageNet" if "ImageNet" in source or name == "imagenet" else name


def _common_height(cards: Sequence[ModelCard]) -> int:
    return max((card.working_height for card in cards), default=0)


def _total_samples(card: ModelCard) -> int:
    """Return the samples seen in the training and in those that it was initialized from."""
    samples, ancestor = card.samples_seen, card.init_from
    while ancestor:
        samples, ancestor = samples + ancestor["photos"], ancestor["parent"]
    return samples


def measure(
    cases: Sequence[TimingCase], device: Device = "auto", on_progress: OnProgress | None = None
) -> dict[TimingCase, float]:
    """Measure the prediction time of a 512 x 1024 photo.

    The cases are measured in turns, so that other work on the machine slows all of them equally. The networks
    are untrained, because times do not depend on the parameters.

    Args:
        cases: the cases to measure.
        device: ``auto`` is a GPU if there is one.
        on_progress: called with the number of predictions done and of all.

    Returns:
        The shortest time in seconds of each case.

    Raises:
        DeviceError: if the device does not exist.
    """
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (512, 1024, 3), np.uint8))
    torch_device = pick_device(device)
    networks = {}
    for architecture, strides, *_ in cases:
        variants = ARCHITECTURES[architecture].variants
        model = create_model(architecture, len(CITYSCAPES), variants, strides)
        networks[architecture, strides] = Predictor.for_inference(model, 1, torch_device).model
    fastest: dict[TimingCase, float] = {}
    for turn in range(REPEATS):
        for number, case in enumerate(cases):
            architecture, strides, variant, tta, height = case
            predictor = Predictor(networks[architecture, strides], height, torch_device)
            start = time.perf_counter()
            to_mask(predictor.logits(photo, [variant], tta=tta)[variant], photo.height, photo.width)
            fastest[case] = min(fastest.get(case, float("inf")), time.perf_counter() - start)
            if on_progress:
                on_progress(turn * len(cases) + number + 1, REPEATS * len(cases))
    return fastest


def count_operations(cases: Sequence[TimingCase]) -> dict[TimingCase, int]:
    """Count the operations of a 2:1 photo, which unlike times are the same on every machine.

    Args:
        cases: the cases to count.

    Returns:
        The multiplications and additions of the convolutions and matrix products of each case.
    """
    models: dict[tuple[Architecture, encoder.ResNetVersion], SegmentationModel] = {}
    operations = {}
    with FakeTensorMode(), torch.inference_mode():  # shapes without memory and arithmetic
        for case in cases:
            architecture, strides, variant, tta, height = case
            if (architecture, strides) not in models:
                model = create_model(architecture, len(CITYSCAPES), None, strides)
                models[architecture, strides] = model.eval()
            sides = [round(scale * height) for scale in (TTA_SCALES if tta else (1.0,))]
            with FlopCounterMode(display=False) as counter:
                for side in sides:
                    models[architecture, strides](torch.empty(1, 3, side, PAIR_ASPECT * side), [variant])
            operations[case] = counter.get_total_flops() * (2 if tta else 1)  # each is also mirrored
    return operations


def finest(rows: Sequence[LeaderboardRow]) -> list[LeaderboardRow]:
    """Return the row of the finest variant of each of the published weights, without test-time
    augmentation."""
    return list({row.weights: row for row in rows if not row.is_baseline and not row.tta}.values())


def about_methods(published: Sequence[ModelCard]) -> str:
    """Return two sentences on how the three shipped methods differ and how to read their metrics.

    The text is empty if one of the methods is missing.
    """
    by_name = {card.name: card for card in published}
    if not by_name.keys() >= set(METHODS):
        return ""
    _, vgg, _ = methods = [by_name[name] for name in METHODS]
    names = [method_name(card.architecture, card.variants[-1]) for card in methods]
    budgets = [
        f"{name} saw {_total_samples(card):,} crops {card.config.get('height')} pixels high"
        + (" and was stopped early" if card.training and card.training["ended"] == "stopped" else "")
        for name, card in zip(names, methods, strict=True)
    ]
    start = ""
    if vgg.encoder["name"] == "none":
        start = " that started from random parameters, because no ImageNet file of it was available"
    return (
        f"{names[0]} and {names[2]} share the encoder: U-Net's decoder concatenates and convolves the "
        f"features of every stage, FCN's adds the class scores of three stages, and {names[1]} has the FCN "
        f"decoder on another encoder{start}. The table shows what these trainings reached, not what the "
        f"methods can reach: {', '.join(budgets)}, so a difference in accuracy mixes method, start and "
        "budget."
    )


def notes(cards: Sequence[ModelCard], digest: str) -> list[str]:
    """Return sentences about cards whose metrics cannot be compared with the others.

    Args:
        cards: the cards.
        digest: content hash of the pairs of the cell-share references.
    """
    elsewhere = sorted(
        card.name + f" ({HELD_OUT})" * (card.metrics["split"] == HELD_OUT)
        for card in cards
        if card.metrics.get("digest", digest) != digest
    )
    sentences = []
    if elsewhere:
        sentences.append(f"evaluated on other pairs, so without a reference: {', '.join(elsewhere)}")
    if note := earlier_version_note(cards):
        sentences.append(note)
    return sentences


def earlier_version_note(cards: Sequence[ModelCard]) -> str:
    """Return a sentence that names the cards that an earlier version evaluated; empty if there are none."""
    former = sorted(card.name for card in cards if card.metrics.get("variants") and not is_current(card))
    if not former:
        return ""
    return (
        "evaluated by an earlier version, which resampled photos twice, so compare only among these:"
        f" {', '.join(former)}"
    )


def format_row(row: LeaderboardRow) -> list[str]:
    """Return the cells of a row as text, in the order of `header`."""
    accuracies = (row.report[key] for key in ("pixel_accuracy", "mean_accuracy", "mean_iou"))
    return [
        *(row.network, row.weights, row.start, str(row.samples_seen)),
        *(f"{row.parameters / 1e6:.1f} M", str(row.height)),
        *(evaluate.format_score(value) for value in accuracies),
        evaluate.format_interval(row.report["intervals"].get("mean_iou")),
        evaluate.format_score(row.report.get("all_labelled", {}).get("mean_iou")),
        evaluate.format_interval(row.report.get("all_labelled", {}).get("intervals", {}).get("mean_iou")),
        evaluate.format_score(row.report["boundary_iou"]),
        evaluate.format_score(row.grid_reference.cell_shares if row.grid_reference else None),
        *(
            "–" if seconds is None else f"{1000 * seconds:.0f}"
            for seconds in (row.seconds, row.common_seconds)
        ),
    ]


def header(rows: Sequence[LeaderboardRow]) -> list[str]:
    """Return the column titles of `format_row`."""
    return [
        *("network", "weights", "start", "samples", "parameters", "height"),
        *("pixel acc.", "mean acc.", "mean IoU", "95%", "mean IoU, all labelled", "95%"),
        *("boundary IoU", "cell shares", "ms"),
        *(f"ms, {row.common_height} high" for row in rows[:1]),
    ]
