"""An interactive transposed convolution on a small grid; it runs in the browser."""

from pathlib import Path

from ui.components.base import component


def transposed_conv_demo(key: str) -> None:
    """Draw the demo."""
    _component(key=key)


_component = component(Path(__file__).parent)
