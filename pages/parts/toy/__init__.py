"""A transposed convolution on a small grid, to be played with; all of it runs in the browser."""

from pathlib import Path

from pages.parts.component import component


def toy(key: str) -> None:
    """Shows it."""
    _component(key=key)


_component = component(Path(__file__).parent)
