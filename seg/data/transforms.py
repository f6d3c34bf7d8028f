"""Random augmentation of a batch of photos and labels, on the device that trains.

All randomness derives from (seed, step): a step gets the same crops on every device, in any number of
processes and after every resumption.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from seg.data.cityscapes import IGNORE
from seg.data.draws import Uniform, batch_draws, to_device
from seg.data.pairs import PAIR_ASPECT
from seg.data.preprocess import normalize
from seg.data.random_corruptions import corrupt_crops

GRAY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601

_CORRUPTIONS, MIXING = 1, 2
"""Streams of random numbers beside that of the crops, which do not change it."""


def crop_width(height: int, aspect: float) -> int:
    """Return the width of crops of a height: the multiple of 32 that is closest to an aspect."""
    return max(32, 32 * round(height * aspect / 32))


def augment(
    photos: Tensor,
    labels: Tensor,
    height: int,
    seed: int,
    step: int,
    scale: tuple[float, float] = (0.5, 2.0),
    color: float = 1.0,
    shard: tuple[int, int] = (0, 1),
    corruptions: float = 0.0,
    width: int | None = None,
    sizes: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw one random crop of each photo and its label.

    The horizontal squeeze of pairs is undone. A crop is flipped with probability 1/2, scaled, changed in
    aspect by up to a quarter, placed at random, and varied in color, blur and noise.

    Args:
        photos: N x A x B x 3 uint8 RGB.
        labels: N x A x B uint8 train ids, or N x A x B x 3 soft labels as of `label_decoder.decode_soft`.
        height: H, the height of the crops in pixels.
        seed: the seed of the training.
        step: the step of the training.
        scale: the range of the scale, drawn log-uniformly.
        color: the strength of the color changes; 0 for none.
        shard: (index, number of shards) if the samples are one of several equal parts of a batch; each
            sample gets the crop that it has in the whole batch.
        corruptions: the probability of a crop to be corrupted; see `corrupt_crops`.
        width: W, the width of the crops in pixels; by default twice the height, as for pairs.
        sizes: N x 2, height and width of each photo at the top left of its array, in host memory; None for
            pairs.

    Returns:
        N x 3 x H x W float32 normalized images and N x H x W int64 train ids, ``IGNORE`` outside the photo;
        soft labels are N x 3 x H x W.
    """
    n, width = len(labels), PAIR_ASPECT * height if width is None else width
    uniform = batch_draws(n, seed, step, shard)
    # pairs show scenes of the shape of the crops
    stretch = None if sizes is None else width / height * sizes[:, 0] / sizes[:, 1]
    theta = _sample_affine(uniform, scale, stretch)
    in_array = theta if sizes is None else _in_arrays(theta, sizes, photos.shape)
    params = _sample_color_params(uniform, color)

    device = photos.device
    # a single asynchronous copy, so that the GPU is not kept waiting
    device_params = to_device(torch.cat((in_array.flatten(1), params["color"]), 1), device)
    affine = device_params[:, :6].reshape(n, 2, 3)
    rgb = _crop_photos(photos.permute(0, 3, 1, 2).float().div_(255), affine, (height, width), sizes)
    label = _crop_labels(labels, affine, (height, width), with_last_column=sizes is not None)
    if corruptions:
        corrupt_crops(rgb, theta, batch_draws(n, seed, step, shard, _CORRUPTIONS), corruptions)
    rgb = _recolor(rgb, device_params[:, 6:])
    _blur_and_noise(rgb, params)
    return normalize(rgb.clamp_(0, 1)), label  # a camera clips as well


def _crop_photos(rgb: Tensor, affine: Tensor, size: tuple[int, int], sizes: Tensor | None) -> Tensor:
    """Resample N x 3 x A x B photos to N x 3 x H x W crops, once and with antialiasing, as Pillow's bilinear
    resize does at prediction. The transforms scale along the axes, so rows and columns are separate."""
    height, width = rgb.shape[-2:]
    if sizes is None:  # JPEG mixes the chroma of the last column with that of the label beside it
        usable = torch.tensor((height, width - 1)).expand(len(rgb), 2)
    else:
        usable = sizes
    usable = to_device(usable.float(), rgb.device)
    rows = _resampling_weights(affine[:, 1, 1], affine[:, 1, 2], size[0], height, usable[:, 0])
    columns = _resampling_weights(affine[:, 0, 0], affine[:, 0, 2], size[1], width, usable[:, 1])
    return rows[:, None] @ rgb @ columns[:, None].transpose(-1, -2)


def _resampling_weights(scale: Tensor, shift: Tensor, num_out: int, side: int, usable: Tensor) -> Tensor:
    """Return N x out x side: the weight of each source pixel in each pixel of a crop.

    Args:
        scale: N, the scale of an axis of the affine transform.
        shift: N, its translation.
        num_out: pixels of the crop along the axis.
        side: pixels of the photo along the axis.
        usable: N, the number of the first of these that show the photo; the last of them fills the crop
            outside the photo.
    """
    device = scale.device
    out = (2 * torch.arange(num_out, device=device) + 1) / num_out - 1
    center = ((scale[:, None] * out + shift[:, None] + 1) * side - 1) / 2
    # a pixel of a smaller crop covers several pixels of the photo
    radius = (scale.abs() * side / num_out).clamp(min=1)[:, None, None]
    pixels = torch.arange(side, device=device)
    distance = center.clamp(min=0).minimum(usable[:, None] - 1)[..., None] - pixels
    weights = (1 - distance.abs() / radius).clamp_(min=0)
    weights.masked_fill_(pixels >= usable[:, None, None], 0)
    return weights / weights.sum(-1, keepdim=True)


def _crop_labels(labels: Tensor, affine: Tensor, size: tuple[int, int], with_last_column: bool) -> Tensor:
    """Resample N x A x B labels to N x H x W, or N x A x B x 3 soft ones to N x 3 x H x W.

    The last column of pairs, which photos leave out, is ignored.
    """
    planes = labels.unsqueeze(1) if labels.ndim == 3 else labels.permute(0, 3, 1, 2)
    grid = F.affine_grid(affine, [len(labels), 1, *size], align_corners=False)
    # shifted by one: grid_sample fills with zeros outside the photo; train ids are exact in float
    shifted = torch.where(planes == IGNORE, 0, planes + 1).float()
    if not with_last_column:
        shifted[..., -1] = 0
    shifted = F.grid_sample(shifted, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    ids = shifted.long()
    ids = torch.where(ids == 0, IGNORE, ids - 1)
    return ids[:, 0] if labels.ndim == 3 else ids


def _sample_affine(uniform: Uniform, scale: tuple[float, float], stretch: Tensor | None = None) -> Tensor:
    """Draw N x 2 x 3 affine transforms for affine_grid; `stretch` is how much wider in shape than its photo
    each crop is."""
    size = torch.exp(uniform(*torch.tensor(scale).log().tolist()))
    aspect = torch.exp(uniform(-0.22, 0.22))
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    # in the coordinates of grid_sample (-1 to 1), a crop of a photo enlarged `size` times spans 1/size of it
    across, down = 1 / (size * aspect.sqrt()), 1 / (size / aspect.sqrt())
    if stretch is not None:
        across = across * stretch
    left = uniform(-1, 1) * (1 - across).abs()
    top = uniform(-1, 1) * (1 - down).abs()
    theta = torch.zeros(len(size), 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = across * flip, left
    theta[:, 1, 1], theta[:, 1, 2] = down, top
    return theta


def _in_arrays(theta: Tensor, sizes: Tensor, shape: torch.Size) -> Tensor:
    """Convert transforms from the coordinates of photos to those of N x A x B x 3 arrays, at whose top left
    the photos are."""
    height, width = (sizes / torch.tensor(shape[1:3])).unbind(1)
    return torch.stack(
        (
            torch.stack((theta[:, 0, 0] * width, theta[:, 0, 1], (theta[:, 0, 2] + 1) * width - 1), 1),
            torch.stack((theta[:, 1, 0], theta[:, 1, 1] * height, (theta[:, 1, 2] + 1) * height - 1), 1),
        ),
        1,
    )


def _sample_color_params(uniform: Uniform, strength: float) -> dict[str, Tensor]:
    """Draw gamma, gain, contrast, saturation and white balance (N x 7), blur, noise and noise seed (N)."""

    def happens(probability: float) -> Tensor:
        return uniform(0, 1) < probability * min(strength, 1.0)

    warm, tint = uniform(-0.12, 0.12), uniform(-0.06, 0.06)
    gamma = torch.exp(uniform(-0.5, 0.5) * strength)
    gain = torch.exp(uniform(-0.35, 0.45) * strength)  # biased to overexposure: white skies
    contrast = torch.exp(uniform(-0.35, 0.35) * strength)
    saturation = (1 + uniform(-0.6, 0.6) * strength).clamp(min=0) * (~happens(0.05))
    white = 1 + strength * torch.stack((warm, tint, -warm), 1)
    return {
        "color": torch.cat((torch.stack((gamma, gain, contrast, saturation), 1), white), 1),
        "blur": torch.where(happens(0.25), uniform(0.3, 1.5), torch.zeros(())),
        "noise": torch.where(happens(0.25), uniform(0.01, 0.06), torch.zeros(())),
        "seed": (uniform(0, 1) * 2**31).long(),
    }


def _recolor(rgb: Tensor, color: Tensor) -> Tensor:
    """Apply the N x 7 color parameters; overwrites `rgb`."""
    gamma, gain, contrast, saturation, *_ = color.view(*color.shape, 1, 1, 1).unbind(1)
    rgb = rgb.clamp_(0, 1).pow_(gamma).mul_(gain).mul_(color[:, 4:].view(-1, 3, 1, 1))
    red, green, blue = rgb.split(1, 1)
    gray = red * GRAY[0] + green * GRAY[1] + blue * GRAY[2]
    rgb = torch.lerp(gray, rgb, saturation)
    return torch.lerp(gray.mean((2, 3), keepdim=True), rgb, contrast)


def _blur_and_noise(rgb: Tensor, params: dict[str, Tensor]) -> None:
    """Blur and add noise in place."""
    generator = torch.Generator(rgb.device)
    # sample by sample: three of four stay unchanged
    for row, blur, noise, seed in zip(
        rgb, *(params[k].tolist() for k in ("blur", "noise", "seed")), strict=True
    ):
        if blur:
            row.lerp_(
                F.avg_pool2d(F.pad(row[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0], min(blur, 1.0)
            )
        if noise:
            row.add_(
                torch.randn(row.shape, generator=generator.manual_seed(seed), device=row.device), alpha=noise
            )
