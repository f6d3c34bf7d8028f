"""ResNet-50 and VGG-16 without their classifiers, with torchvision's tensor names.

They equal the encoders of segmentation-models-pytorch, whose import takes longer than a prediction:
`tests/unit/models/test_encoder.py` compares them.

Sources: He, Zhang, Ren, Sun 2015, "Deep Residual Learning for Image Recognition"; Simonyan, Zisserman 2015,
"Very Deep Convolutional Networks for Large-Scale Image Recognition".
"""

from torch import Tensor, nn

_RESNET50 = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""Inner channels, number of blocks and stride of each stage."""

_VGG16 = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Channels of the convolutions of each stage; a pooling follows every stage."""


class Bottleneck(nn.Module):
    """A residual block of 1x1, 3x3 and 1x1 convolutions; the last has four times the inner channels."""

    expansion = 4

    def __init__(self, channels: int, inner: int, stride: int) -> None:
        super().__init__()
        out = inner * self.expansion
        self.conv1 = nn.Conv2d(channels, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the features after the block."""
        identity = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        x += identity
        return self.relu(x)


class ResNet50(nn.Module):
    """ResNet-50 in the version v1.5: the 3x3 convolutions are strided.

    Attributes:
        channels: number of channels at strides 8, 16 and 32.
    """

    channels = (512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        channels = 64
        for number, (inner, blocks, stride) in enumerate(_RESNET50, 1):
            stage = [Bottleneck(channels, inner, stride)]
            channels = inner * Bottleneck.expansion
            stage += [Bottleneck(channels, inner, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*stage))
        _initialize(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the image and the features at strides 2, 4, 8, 16 and 32."""
        features = [image, self.relu(self.bn1(self.conv1(image)))]
        x = self.maxpool(features[-1])
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
            features.append(x)
        return features


class VGG16(nn.Module):
    """VGG-16 without batch normalization.

    Attributes:
        channels: number of channels at strides 8, 16 and 32.
    """

    channels = (512, 512, 512)

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage in _VGG16:
            for width in stage:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
                channels = width
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        _initialize(self)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features at strides 1, 2, 4, 8, 16 and 32: those before each pooling, and the last."""
        features = []
        x = image
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                features.append(x)
            x = layer(x)
        return [*features, x]


def _initialize(net: nn.Module) -> None:
    """Set the random parameters of convolutions as He et al. 2015, "Delving Deep into Rectifiers"."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
