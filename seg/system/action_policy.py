"""Who may start processes on a server from its pages: trainings, evaluations, renderings, downloads.

``SEG_TRAINING`` decides. Without it, only a server with the settings of a desktop allows it, and only to
browsers of the same computer. Anything else, or unknown, is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

VARIABLE = "SEG_TRAINING"

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

PROXY_HEADERS = ("forwarded", "via", "x-forwarded", "x-original", "x-real", "x-client", "x-cluster-client")
"""Beginnings of the names of headers that a proxy adds to requests, besides the addresses in `_CLIENT_IP`."""

_CLIENT_IP = ("client-ip", "connecting-ip")
"""Ends of such names, as True-Client-IP and CF-Connecting-IP."""


@dataclass(frozen=True)
class ServerSettings:
    """The settings of Streamlit that say who can reach the server.

    Attributes:
        address: ``server.address``, on which it listens.
        public_name: ``browser.serverAddress``.
        allowed_hosts: ``server.allowedHosts``; empty allows all.
        origins: ``server.corsAllowedOrigins``, other sites whose pages may connect.
        checks_origin: ``server.enableCORS`` and ``server.enableXsrfProtection``.
    """

    address: str | None
    public_name: str | None
    allowed_hosts: tuple[str, ...]
    origins: tuple[str, ...]
    checks_origin: bool

    @property
    def are_for_a_desktop(self) -> bool:
        """Whether only browsers of this computer are served; those of the project's config.toml are."""
        names = (self.address, self.public_name, *self.allowed_hosts, *self.origins)
        return bool(self.allowed_hosts) and self.checks_origin and all(map(is_local, names))


def is_local(address: str | None) -> bool:
    """Return whether a host name, a Host header or an origin names this computer."""
    if not isinstance(address, str):
        return False
    try:
        host = (
            address
            if address in LOCAL_HOSTS
            else urlsplit(address if "//" in address else f"//{address}").hostname
        )
    except ValueError:
        return False
    return host in LOCAL_HOSTS


def may_start(setting: str, settings: ServerSettings, headers: Mapping[str, str]) -> bool:
    """Return whether a visitor may start processes.

    Args:
        setting: the value of ``SEG_TRAINING``; empty if it is not set.
        settings: those of the server.
        headers: of the request of the visitor's browser; empty if there is no request, as in a test.
    """
    if setting:
        return setting == "on"
    if not settings.are_for_a_desktop:
        return False
    if not headers:  # every connection has some
        return True
    return (
        is_local(headers.get("Host"))
        and is_local(headers.get("Origin"))  # written by the browser, for the page that is open
        and not any(_is_of_a_proxy(name.lower()) for name in headers)
    )


def _is_of_a_proxy(header: str) -> bool:
    return header.startswith(PROXY_HEADERS) or header.endswith(_CLIENT_IP)


def refusal(setting: str, settings: ServerSettings) -> str:
    """Return why a visitor may not start processes, as a clause."""
    if setting:
        return f"the administrator has set `{VARIABLE}={setting}`"
    if not settings.are_for_a_desktop:
        return f"the server can be reached from other computers. Set `{VARIABLE}=on` to allow it"
    return (
        "this page was not opened on the computer of the server, at an address such as http://localhost:8501."
        f" Set `{VARIABLE}=on` to allow it"
    )


def announcement(setting: str, settings: ServerSettings) -> str:
    """Return what the server allows, as a line for its terminal."""
    subject = "Starting trainings and other processes from the pages"
    if setting == "on":
        return f"{subject}: allowed for every visitor ({VARIABLE}=on)."
    if setting:
        return f"{subject}: not allowed ({VARIABLE}={setting})."
    if settings.are_for_a_desktop:
        return (
            f"{subject}: allowed for browsers of this computer. Behind a proxy, set {VARIABLE}=off:"
            " it can hide where a visitor comes from."
        )
    return f"{subject}: not allowed, since other computers can reach the server ({VARIABLE}=on allows it)."


def texts(value: object) -> tuple[str, ...]:
    """Return a setting that is a list of texts, or one text."""
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, value)) if isinstance(value, Iterable) else ()
