"""Random views of a batch of pairs, photo and label together, on whichever device trains.

All randomness derives from (seed, step): the same step sees the same views on every device, in any number of processes and
after every resumption.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from seg.labels import IGNORE
from seg.preprocess import PAIR_ASPECT, normalize

GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601


def augment(
    photos: Tensor,
    labels: Tensor,
    height: int,
    seed: int,
    step: int,
    scale: tuple[float, float] = (0.5, 2.0),
    color: float = 1.0,
    part: tuple[int, int] = (0, 1),
) -> tuple[Tensor, Tensor]:
    """N x S x S x 3 and N x S x S uint8 pairs -> N x 3 x H x 2H image and N x H x 2H int64 label: one random view each.

    The pairs' squash is undone. A view is flipped or not, `scale` times larger (log-uniform) with its aspect off by up to a
    quarter, cropped anywhere, and recoloured with strength `color` (0: not at all); what lies outside the photo is ignored.
    The pairs are one `part` (which, of how many) of a batch cut into equal ones: they get the views that they have in the whole.
    """
    n, width = len(labels), PAIR_ASPECT * height
    which, parts = part
    generator = torch.Generator().manual_seed(seed * 1_000_003 + step)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(n * parts, generator=generator)[which * n : (which + 1) * n] * (high - low) + low

    size = torch.exp(uniform(*torch.tensor(scale).log().tolist()))
    aspect = torch.exp(uniform(-0.22, 0.22))
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    # in the coordinates of grid_sample (-1 to 1), a view of a photo `size` times larger spans 1/size of it
    across, down = 1 / (size * aspect.sqrt()), 1 / (size / aspect.sqrt())
    left = uniform(-1, 1) * (1 - across).abs()
    top = uniform(-1, 1) * (1 - down).abs()
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 2] = across * flip, left
    theta[:, 1, 1], theta[:, 1, 2] = down, top
    dice = _color_dice(uniform, color)

    device = photos.device
    # all numbers in one copy, behind which the GPU's other work goes on
    numbers = _send(torch.cat((theta.flatten(1), dice["each"]), 1), device)
    grid = F.affine_grid(numbers[:, :6].reshape(n, 2, 3), [n, 1, height, width], align_corners=False)
    rgb = photos.permute(0, 3, 1, 2).float().div_(255)
    rgb = F.grid_sample(rgb, grid, mode="bilinear", padding_mode="border", align_corners=False)
    # shifted by one so that the zero outside the photo means ignored; train ids are small and exact in float
    known = torch.where(labels == IGNORE, 0, labels + 1).unsqueeze(1).float()
    known = F.grid_sample(known, grid, mode="nearest", padding_mode="zeros", align_corners=False)[:, 0].long()
    label = torch.where(known == 0, IGNORE, known - 1)
    rgb = _recolor(rgb, numbers[:, 6:])
    _roughen(rgb, dice)
    return normalize(rgb.clamp_(0, 1)), label  # a camera clips as well


def _send(host: Tensor, device: torch.device) -> Tensor:
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host


def _color_dice(uniform, strength: float) -> dict[str, Tensor]:
    def often(chance: float) -> Tensor:
        return uniform(0, 1) < chance * min(strength, 1.0)

    warm, tint = uniform(-0.12, 0.12), uniform(-0.06, 0.06)
    gamma = torch.exp(uniform(-0.5, 0.5) * strength)
    gain = torch.exp(uniform(-0.35, 0.45) * strength)  # leans to overexposure: white skies
    contrast = torch.exp(uniform(-0.35, 0.35) * strength)
    saturation = (1 + uniform(-0.6, 0.6) * strength).clamp(min=0) * (~often(0.05))
    white = 1 + strength * torch.stack((warm, tint, -warm), 1)
    return {
        "each": torch.cat((torch.stack((gamma, gain, contrast, saturation), 1), white), 1),
        "blur": torch.where(often(0.25), uniform(0.3, 1.5), torch.zeros(())),
        "noise": torch.where(often(0.25), uniform(0.01, 0.06), torch.zeros(())),
        "seed": (uniform(0, 1) * 2**31).long(),
    }


def _recolor(rgb: Tensor, numbers: Tensor) -> Tensor:
    gamma, gain, contrast, saturation, *_ = numbers.view(*numbers.shape, 1, 1, 1).unbind(1)
    rgb = rgb.clamp_(0, 1).pow_(gamma).mul_(gain).mul_(numbers[:, 4:].view(-1, 3, 1, 1))
    red, green, blue = rgb.split(1, 1)
    grey = red * GREY[0] + green * GREY[1] + blue * GREY[2]
    rgb = torch.lerp(grey, rgb, saturation)
    return torch.lerp(grey.mean((2, 3), keepdim=True), rgb, contrast)


def _roughen(rgb: Tensor, dice: dict[str, Tensor]) -> None:
    """Blurs and adds noise in place; row by row, since three of four are left as they are."""
    generator = torch.Generator(rgb.device)
    for row, blur, noise, seed in zip(rgb, *(dice[k].tolist() for k in ("blur", "noise", "seed")), strict=True):
        if blur:
            row.lerp_(F.avg_pool2d(F.pad(row[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0], min(blur, 1.0))
        if noise:
            row.add_(torch.randn(row.shape, generator=generator.manual_seed(seed), device=row.device), alpha=noise)
