"""What Streamlit does that a server for strangers should not, taken out: it has no settings for these."""

from streamlit import net_util
from streamlit.runtime.app_session import AppSession


def harden() -> None:
    """Call it on every page, before anything else; once is enough."""
    AppSession._handle_clear_cache_request = _ignore  # any visitor's browser may ask for it, and it empties the caches of all
    net_util._external_ip = ""  # else it asks a server of Amazon's for this one's address when a page of another site calls


def _ignore(session: AppSession) -> None:
    """Does nothing."""
