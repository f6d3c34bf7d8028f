"""Test-time augmentation (TTA): the mean of the predictions at several scales, each also mirrored."""

from collections.abc import Callable

import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor

from seg.inference.postprocess import LazyLogits

TTA_SCALES = (0.75, 1.0, 1.25)
"""The scales of a photo, as multiples of the working height."""

Size = tuple[int, int]


def predict_with_tta(
    predict: Callable[[Image.Image, Size], dict[str, LazyLogits]],
    photo: Image.Image,
    working_size: Callable[[float], Size],
    mark: Callable[[], object],
) -> dict[str, LazyLogits]:
    """Average the probabilities over `TTA_SCALES` and their mirror images.

    Args:
        predict: computes the logits by variant of a picture at a height and width.
        photo: an RGB photo.
        working_size: the height and width of the working image at a scale.
        mark: called after each averaging, for the timer.

    Returns:
        By variant, the logarithms of the mean probabilities at the working size of scale 1.
    """
    sums: dict[str, Tensor] = {}
    for scale in TTA_SCALES:
        for view, is_mirrored in ((photo, False), (ImageOps.mirror(photo), True)):
            for variant, logits in predict(view, working_size(scale)).items():
                resized = F.interpolate(
                    logits.materialize()[None], size=working_size(1.0), mode="bilinear", align_corners=False
                )[0]
                probabilities = resized.softmax(0)
                sums[variant] = sums.get(variant, 0) + (
                    probabilities.flip(-1) if is_mirrored else probabilities
                )
            mark()
    count = 2 * len(TTA_SCALES)
    return {
        variant: LazyLogits.from_tensor((total / count).clamp_(min=1e-9).log_())
        for variant, total in sums.items()
    }
