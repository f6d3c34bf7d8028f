"""What an evaluation leaves behind: its report and the counts of every photo, found again by the weights and the data.

``.cache/scores/WEIGHTS-DATA/report.json`` is what ``evaluate --json`` writes; ``counts.npy`` has a confusion matrix for every
variant and photo. Whoever watches reads how far it is in ``scoring.json`` beside them. Knows nothing of networks.
"""

import contextlib
import io
import json
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seg import dataset, metrics
from seg.checkpoint import Run, write_atomic, write_json
from seg.evaluate import Tally

NOTE = "scoring"
"""The name of the note that says how far an evaluation is: `checkpoint.Run.note`."""

LEAST = 64
"""Pixels of a class that a photo's truth must have to be ranked by that class."""

KEYS = ("pixel_accuracy", "mean_accuracy", "mean_iou", "boundary_iou")
"""The scores in which a card and an evaluation are compared."""


@dataclass(frozen=True)
class Scoring:
    """An evaluation of some weights on a whole split."""

    report: dict[str, Any]  # of ``evaluate --json``
    counts: np.ndarray  # variants x photos x K x K, rows truth

    @property
    def variants(self) -> tuple[str, ...]:
        return tuple(self.report["variants"])

    def of(self, variant: str) -> np.ndarray:
        """photos x K x K."""
        return self.counts[self.variants.index(variant)]


def place(sha256: str, digest: str) -> Path:
    """The folder of the evaluation of the weights' file of this hash on the split of this digest."""
    return dataset.CACHE / "scores" / f"{sha256[:16]}-{digest[:16]}"


def keep(folder: Path, report: dict[str, Any], tallies: Mapping[str, Tally]) -> None:
    """Writes an evaluation. The report comes last: where it is, all is."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = io.BytesIO()
    np.save(counts, np.stack([np.stack(tally.confusions) for tally in tallies.values()]))
    write_atomic(folder / "counts.npy", counts.getvalue())
    write_json(folder / "report.json", report)


def find(folder: Path) -> Scoring | None:
    """The evaluation kept in a folder; None where there is none that can be read."""
    try:
        report = json.loads((folder / "report.json").read_text())
        counts = np.load(folder / "counts.npy", allow_pickle=False)
        whole = counts.shape[:2] == (len(report["variants"]), report["images"])
    except (OSError, ValueError, KeyError, TypeError, EOFError):
        return None
    return Scoring(report, counts) if whole else None


def progress(folder: Path) -> dict[str, Any]:
    """What the evaluation that works in a folder, or the last one that did, said of itself; empty where none did.

    ``status`` is running, finished or failed; one that says running and whose process is gone is failed.
    """
    run = Run(folder)
    said = run.noted(NOTE)
    if said.get("status") == "running" and not run.busy(NOTE):
        return said | {"status": "failed", "message": "Its process is gone: it was killed, or memory ran out."}
    return said


def stop(folder: Path) -> None:
    """Ends the evaluation that works in a folder, if one does."""
    run = Run(folder)
    if run.busy(NOTE):
        with contextlib.suppress(ProcessLookupError):
            os.kill(run.noted(NOTE)["pid"], signal.SIGTERM)
        run.note(NOTE, {"status": "failed", "message": "It was stopped."})


def worst(counts: np.ndarray, k: int | None = None, least: int = LEAST) -> list[tuple[int, float]]:
    """photos x K x K -> (photo, IoU) with the worst first: the mean over the classes of a photo, or that of class k.

    For a class only photos count whose truth has at least `least` pixels of it.
    """
    found = []
    for photo, matrix in enumerate(counts):
        if k is None:
            score = metrics.scores(matrix).mean_iou
        else:
            score = metrics.scores(matrix).iou[k] if matrix[k].sum() >= least else float("nan")
        if not np.isnan(score):
            found.append((photo, float(score)))
    return sorted(found, key=lambda one: one[1])


def behind(counts: np.ndarray, truth: int, prediction: int) -> list[tuple[int, int]]:
    """photos x K x K -> (photo, pixels) of one cell of the confusion matrix, the most first."""
    pixels = counts[:, truth, prediction]
    return [(int(photo), int(pixels[photo])) for photo in np.argsort(-pixels, kind="stable") if pixels[photo]]


def differences(card: Mapping[str, Any], here: Mapping[str, Any], variants: Sequence[str]) -> list[tuple[str, str, float, float]]:
    """(variant, score, on the card, here) of all `KEYS` of two tables of reports by variant."""
    return [
        (variant, key, card[variant][key], here[variant][key])
        for variant in variants
        for key in KEYS
        if variant in card and variant in here and None not in (card[variant].get(key), here[variant].get(key))
    ]
