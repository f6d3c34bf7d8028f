"""The commands that exchange weights with the Hugging Face hub: push, pull."""

from dataclasses import dataclass

from tyro.conf import Positional

from seg import paths
from seg.cli.console import console
from seg.models import hub


@dataclass(frozen=True)
class Push:
    """Upload published weights, with their card and a README, to the Hugging Face hub."""

    name: Positional[str]
    """Name of the weights."""
    repository: Positional[str]
    """Repository on the hub, as owner/name; it is created if it is new."""
    private: bool = False
    """Make a new repository private."""

    def run(self) -> None:
        address = hub.push(self.name, self.repository, self.private)
        console.print(f"{self.name} is in {self.repository}: {address}", soft_wrap=True)


@dataclass(frozen=True)
class Pull:
    """Download weights from the Hugging Face hub; the commands and the app then offer them."""

    repository: Positional[str]
    """Repository on the hub, as owner/name."""
    revision: str = "main"
    """Branch, tag or commit."""

    def run(self) -> None:
        card = hub.pull(self.repository, self.revision)
        console.print(f"{card.name} is in {paths.weights() / card.name}", soft_wrap=True)
