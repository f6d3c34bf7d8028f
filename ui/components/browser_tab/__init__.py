"""An invisible component: remembers the session in the browser's tab and reports the one before."""

from pathlib import Path
from typing import NamedTuple

from ui.components.base import component


class FormerSession(NamedTuple):
    """The session that this tab had before a reload or a new connection."""

    token: str
    has_batch: bool
    """Whether the visitor had a batch in it."""


def browser_tab(token: str, has_batch: bool) -> FormerSession | None:
    """Draw the component.

    Args:
        token: Secret name of the present session.
        has_batch: Whether the visitor has a batch in it.

    Returns:
        In the run after a reload, the session before it; else None.
    """
    data = {"token": token, "hasBatch": has_batch}
    former = _component(key="browser_tab", data=data, on_former_change=lambda: None).former
    return FormerSession(str(former["token"]), former["hasBatch"] is True) if former else None


_component = component(Path(__file__).parent)
