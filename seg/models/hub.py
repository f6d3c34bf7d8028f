"""Published weights on the Hugging Face hub: `push` them to a repository, `pull` or `download` them from one.

A repository contains the files of the weights' folder and a README that is made from the card.
"""

import contextlib
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seg import paths
from seg.errors import printable
from seg.models.factory import ARCHITECTURES, DISPLAY_NAMES
from seg.models.model_card import ModelCard, WeightsError, evaluated_on
from seg.models.registry import (
    CARD_FILE,
    WEIGHTS_FILE,
    check_weights_name,
    read_card,
    registry_of,
    verify_weights,
)
from seg.system.atomic_io import new_folder
from seg.system.json_file import read_json_object

FILES = (CARD_FILE, WEIGHTS_FILE, "counts.npz", "metrics.jsonl")
"""The files of weights; the last two may be missing."""

LIBRARY = "street-fcn"


def check_repository(repository: str) -> None:
    """Raise `WeightsError` unless a name has the form of a repository on the hub."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise WeightsError(f'"{repository}" is no name of a repository: use owner/name.')


def is_repository(name: str) -> bool:
    """Return whether a name is that of a repository, ``owner/name``, and not that of weights."""
    return "/" in name


def push(name: str, repository: str, is_private: bool = False) -> str:
    """Upload published weights with their card and a README; the repository is created if it is new.

    Args:
        name: a name from `list_weights`.
        repository: ``owner/name`` on the hub.
        is_private: whether a new repository is private.

    Returns:
        The address of the commit.

    Raises:
        WeightsError: if the weights are missing or damaged, or the hub refuses them or cannot be reached.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    check_repository(repository)
    card, folder = verify_weights(name), registry_of(name) / name
    additions = [CommitOperationAdd(file, folder / file) for file in FILES if (folder / file).is_file()]
    additions.append(CommitOperationAdd("README.md", readme(card, repository).encode()))
    with _explained(repository):
        api = HfApi(library_name=LIBRARY)
        api.create_repo(repository, private=is_private, exist_ok=True)
        return str(api.create_commit(repository, additions, commit_message=f"Upload {name}").commit_url)


def pull(repository: str, revision: str = "main") -> ModelCard:
    """Download weights to the registry of published weights.

    Args:
        repository: ``owner/name`` on the hub.
        revision: branch, tag or commit.

    Returns:
        The card; its name is that of the weights.

    Raises:
        WeightsError: if the repository has no weights of this project or cannot be reached, or if there are
            other weights of the same name.
        OSError: if the files cannot be written.
    """
    name, registry = download(repository, revision)
    card, target = verify_weights(name, registry), paths.weights() / name
    if target.exists():
        if read_card(name, paths.weights()).sha256 == card.sha256:
            return card
        raise WeightsError(f"There are other weights named {name}. Rename or remove {target} first.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with new_folder(target, prefix=".pulling-") as place:
        for file in FILES:
            if (registry / name / file).is_file():
                shutil.copyfile(registry / name / file, place / file)
    return card


def download(repository: str, revision: str = "main") -> tuple[str, Path]:
    """Download weights to the cache of the hub's client, from which they are used without a network later.

    Args:
        repository: ``owner/name`` on the hub.
        revision: branch, tag or commit.

    Returns:
        The name of the weights, and a registry that contains them.

    Raises:
        WeightsError: if the repository has no weights of this project, or cannot be reached.
        OSError: if the files cannot be written.
    """
    from huggingface_hub import snapshot_download

    check_repository(repository)
    with _explained(repository):
        snapshot = Path(snapshot_download(repository, revision=revision, allow_patterns=list(FILES)))
    name = _name_of(snapshot, repository)
    registry = paths.cache() / "hub" / snapshot.name
    registry.mkdir(parents=True, exist_ok=True)
    if not (registry / name).exists():
        (registry / name).unlink(missing_ok=True)  # a link to a snapshot that was removed
        (registry / name).symlink_to(snapshot.absolute(), target_is_directory=True)
    return name, registry


def readme(card: ModelCard, repository: str) -> str:
    """Return the README of a repository, with the metadata that the hub reads, from a card."""
    from huggingface_hub import EvalResult, ModelCardData

    variants = card.metrics.get("variants", {})
    results = [
        EvalResult(
            task_type="image-segmentation",
            dataset_type="image-pairs",
            dataset_name=f"{', '.join(_data_names(card))} ({evaluated_on(card.metrics)})",
            metric_type="mean_iou",
            metric_name=f"mean IoU of {DISPLAY_NAMES[variant]}",
            metric_value=round(report["mean_iou"], 4),
        )
        for variant, report in variants.items()
        if report["mean_iou"] is not None
    ]
    metadata = ModelCardData(
        library_name=LIBRARY,
        pipeline_tag="image-segmentation",
        license="other",
        license_name=card.licence,
        tags=["semantic-segmentation", card.architecture],
        model_name=card.name if results else None,
        eval_results=results or None,
    )
    rows = [
        f"| {DISPLAY_NAMES[variant]} | {_score(report['mean_iou'])} | {_score(report['pixel_accuracy'])} |\n"
        for variant, report in variants.items()
    ]
    table = "| network | mean IoU | pixel accuracy |\n|---|---|---|\n" + "".join(rows) if rows else ""
    return _README.format(
        metadata=metadata.to_yaml(),
        name=card.name,
        architecture=ARCHITECTURES[card.architecture].description,
        count=len(card.classes),
        classes=printable(", ".join(card.classes)),
        evaluated=f"Metrics on {evaluated_on(card.metrics)}:\n\n{table}" if rows else "It was not evaluated.",
        repository=repository,
        command=printable(card.command),
        licence=printable(card.licence),
    )


_README = """---
{metadata}
---

# {name}

{architecture}, for the semantic segmentation of street photos into {count} classes: {classes}.

{evaluated}
## Use

    from seg import Predictor
    prediction = Predictor.from_pretrained("{repository}").predict("street.jpg")

or `street-fcn pull {repository}`, after which the command line and the app offer the weights.
`card.json` has all metrics, the data and the settings of the training:

    {command}

## License

{licence}
"""


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _data_names(card: ModelCard) -> list[str]:
    return [Path(folder).name for folder in list(card.data)[:1]] or ["unknown data"]


def _name_of(snapshot: Path, repository: str) -> str:
    """Return the name on the card of a snapshot. Raises `WeightsError` if there is none."""
    foreign = f"{repository} contains no weights of this project"
    try:
        name = read_json_object(snapshot / CARD_FILE)["name"]
    except FileNotFoundError:
        raise WeightsError(f"{foreign}: it has no {CARD_FILE}.") from None
    except (OSError, ValueError, KeyError):
        raise WeightsError(f"{foreign}: its {CARD_FILE} is no model card.") from None
    if not isinstance(name, str):
        raise WeightsError(f"{foreign}: its {CARD_FILE} is no model card.")
    check_weights_name(name)
    return name


@contextlib.contextmanager
def _explained(repository: str) -> Iterator[None]:
    """Raise a `WeightsError` with a sentence in place of the errors of the hub's client."""
    from huggingface_hub import errors

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # otherwise it logs every retry
    try:
        yield
    except errors.HFValidationError:
        raise WeightsError(f'"{repository}" is no name of a repository: use owner/name.') from None
    except errors.RevisionNotFoundError:
        raise WeightsError(f"{repository} has no such revision.") from None
    except errors.GatedRepoError:
        raise WeightsError(f"{repository} asks for consent first: open its page on the hub.") from None
    except errors.RepositoryNotFoundError:
        advice = "Check the name; for a private one log in first: hf auth login, or set HF_TOKEN."
        raise WeightsError(f"There is no repository {repository} on the hub. {advice}") from None
    except (errors.LocalTokenNotFoundError, errors.HfHubHTTPError) as error:
        raise WeightsError(_refusal(repository, error)) from None
    except Exception as error:  # the client's transport raises many unrelated kinds
        if isinstance(error, OSError) and error.errno is not None and not isinstance(error, ConnectionError):
            raise  # of the disk
        raise WeightsError(
            f"{repository} could not be reached on the hub ({type(error).__name__}). Connect to the internet,"
            " and try again."
        ) from error


_UNREACHABLE = (
    "{repository} could not be reached on the hub ({error}). Connect to the internet, and try again."
)


def _refusal(repository: str, error: Any) -> str:
    """Return a sentence for an answer of the hub that is an error."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", 401)
    if status in (401, 403):
        return f"The hub refuses access to {repository}. Log in first: hf auth login, or set HF_TOKEN."
    return f"The hub refuses the request for {repository}: {printable(str(error)).splitlines()[0]}"
