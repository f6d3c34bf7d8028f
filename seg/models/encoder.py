"""The encoders ResNet-50 and VGG-16, from segmentation-models-pytorch.

Sources: He, Zhang, Ren, Sun 2015, "Deep Residual Learning for Image Recognition"; Simonyan, Zisserman 2015,
"Very Deep Convolutional Networks for Large-Scale Image Recognition".
"""

from typing import Literal

from torch import Tensor, nn

Backbone = Literal["resnet50", "vgg16"]

DISPLAY_NAMES: dict[Backbone, str] = {"resnet50": "ResNet-50", "vgg16": "VGG-16"}

ResNetVersion = Literal["v1", "v1.5"]
"""Strided convolution in the first block of a stage: the first 1x1 (v1, He et al. 2015) or the 3x3 (v1.5)."""


class Encoder(nn.Module):
    """Features at strides 8, 16 and 32.

    ResNet-50 has 512, 1024 and 2048 channels at these strides; VGG-16, without its fully connected layers,
    has 512 at each.

    Args:
        strides: the ResNet version, which decides where its stages are strided.
        backbone: the network.

    Attributes:
        channels: number of channels by stride.
    """

    def __init__(self, strides: ResNetVersion = "v1.5", backbone: Backbone = "resnet50") -> None:
        super().__init__()
        from segmentation_models_pytorch.encoders import get_encoder  # slow to import

        network = get_encoder(backbone, weights=None)
        self.channels: dict[int, int] = dict(zip((8, 16, 32), network.out_channels[3:], strict=True))
        if backbone == "resnet50":
            self.resnet = network
            apply_resnet_version(network, strides)
        else:
            self.vgg = network

    @property
    def backbone(self) -> nn.Module:
        """The module that pretrained parameters are loaded into."""
        return self.resnet if hasattr(self, "resnet") else self.vgg

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        """Compute the features of an image.

        Args:
            image: N x 3 x H x W; H and W are multiples of 32.

        Returns:
            N x C x H/s x W/s features by stride s (8, 16, 32).
        """
        *_, at8, at16, at32 = self.backbone(image)
        return {8: at8, 16: at16, 32: at32}


def apply_resnet_version(resnet: nn.Module, strides: ResNetVersion) -> None:
    """Move the strides of a ResNet that was built as v1.5 to those of another version, in place."""
    if strides == "v1":
        for stage in (2, 3, 4):
            first, second = (resnet.get_submodule(f"layer{stage}.0.conv{n}") for n in (1, 2))
            first.stride, second.stride = second.stride, first.stride
