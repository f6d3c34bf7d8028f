"""An invisible component: keeps the session's name in the browser's tab and reports on the tab."""

from pathlib import Path
from typing import NamedTuple

from ui.components.base import component


class FormerSession(NamedTuple):
    """The session that this tab had before a reload or a new connection."""

    token: str
    has_batch: bool
    """Whether the visitor had a batch in it."""


class TabReport(NamedTuple):
    """What the tab says of itself."""

    former: FormerSession | None
    """In the run after a reload, the session before it."""
    lacks_upload_cookie: bool
    """Whether the page is inside another site and the browser withholds the cookie that protects uploads."""


def browser_tab(token: str, has_batch: bool) -> TabReport:
    """Draw the component.

    Args:
        token: Secret name of the present session.
        has_batch: Whether the visitor has a batch in it.
    """
    data = {"token": token, "hasBatch": has_batch}
    report = _component(
        key="browser_tab", data=data, on_former_change=lambda: None, on_lacksCookie_change=lambda: None
    )
    return TabReport(_valid_session(report.former), report.lacksCookie is True)


def _valid_session(value: object) -> FormerSession | None:
    """Return the session that the component reported; None if the value is something else."""
    if not isinstance(value, dict) or not isinstance(token := value.get("token"), str):
        return None
    return FormerSession(token, value.get("hasBatch") is True)


_component = component(Path(__file__).parent)
