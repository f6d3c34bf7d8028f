"""What a model card says, in sentences for pages."""

from pathlib import Path

from seg.models.factory import DISPLAY_NAMES
from seg.models.model_card import ModelCard, evaluated_on


def card_rows(card: ModelCard) -> dict[str, str]:
    """Return what a card records of its weights, by label."""
    datasets = [f"{Path(folder).name} ({digest[:12]}…)" for folder, digest in card.data.items()]
    samples = f"{card.samples_seen:,}" + (f", after {_earlier_samples(card)}" if card.init_from else "")
    return {
        "Network": f"{card.architecture}, {', '.join(DISPLAY_NAMES[v] for v in card.variants)}",
        "Trained on": ", ".join(datasets) or "no data",
        "Samples seen": samples,
        "Training": training_text(card),
        "Working height": f"{card.working_height} pixels, resize mode “{card.resize_mode}”",
        "Encoder": _encoder(card),
        "Evaluated on": evaluated_on(card.metrics),
        "Parameters": f"{card.parameters:,}, file size {card.bytes:,} bytes",
        "SHA-256": card.sha256,
        "License": card.licence,
    }


def _earlier_samples(card: ModelCard) -> str:
    samples, ancestor = 0, card.init_from
    while ancestor:
        samples, ancestor = samples + ancestor["photos"], ancestor["parent"]
    return f"{samples:,} of the weights from which it was initialized"


def _encoder(card: ModelCard) -> str:
    """Describe the pretrained weights of the encoder."""
    if card.encoder["name"] == "none":
        return "random initialization"
    version = f"; ResNet {card.encoder['strides']}" if "resnet" in card.architecture else ""
    return f"{card.encoder['source']}{version}; license {card.encoder['licence']}"


def training_text(card: ModelCard) -> str:
    """Describe the duration of a training and why it ended."""
    training = card.training
    if training is None:
        return f"{card.hours:.2f} hours"
    duration = f"{training['steps']:,} steps in {training['seconds'] / 60:.1f} minutes"
    if training["ended"] == "time":
        return f"{duration}, ended by its time limit"
    if training["ended"] == "stopped":
        rate = f"{training['last_rate']:.0%} of its maximum"
        planned = f"{training['planned_steps']:,} planned steps"
        return f"{duration}; stopped early, of {planned}, with the learning rate at {rate}"
    return duration
