"""Street FCN: FCN-32s, FCN-16s and FCN-8s on ResNet-50, and their baselines, for street photos.

Example:
    >>> from seg import Predictor
    >>> prediction = Predictor.from_pretrained("fcn-resnet50-cityscapes").predict("street.jpg")
    >>> prediction.masks["8s"]  # H x W uint8 train ids
    >>> prediction.to_image("8s").save("mask.png")
"""

import importlib
import os
from typing import TYPE_CHECKING

# The threads of PyTorch wait for each other some hundred times in a prediction. By default they spin for
# milliseconds; beside other busy processes, each then keeps the core that the other one needs. They now spin
# for microseconds and then sleep. The OpenMP library reads this when it is loaded, so set it before PyTorch.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "1.0.0"

if TYPE_CHECKING:
    from seg.data.scenes import render_scene
    from seg.errors import StreetFCNError
    from seg.evaluation.evaluate import evaluate
    from seg.inference.prediction import Prediction
    from seg.inference.predictor import Predictor
    from seg.models.factory import create_model, list_models
    from seg.models.registry import list_weights, load_weights
    from seg.training.config import TrainConfig
    from seg.training.lifecycle import train

_HOME = {
    "Prediction": "seg.inference.prediction",
    "Predictor": "seg.inference.predictor",
    "StreetFCNError": "seg.errors",
    "TrainConfig": "seg.training.config",
    "create_model": "seg.models.factory",
    "evaluate": "seg.evaluation.evaluate",
    "list_models": "seg.models.factory",
    "list_weights": "seg.models.registry",
    "load_weights": "seg.models.registry",
    "render_scene": "seg.data.scenes",
    "train": "seg.training.lifecycle",
}

__all__ = [
    "Prediction",
    "Predictor",
    "StreetFCNError",
    "TrainConfig",
    "__version__",
    "create_model",
    "evaluate",
    "list_models",
    "list_weights",
    "load_weights",
    "render_scene",
    "train",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: ``import seg`` alone does not load PyTorch."""
    if name not in _HOME:
        raise AttributeError(f"module 'seg' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
