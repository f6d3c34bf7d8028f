"""The command that starts the app: app."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from seg import paths
from seg.cli.console import CommandError, console
from seg.system import action_policy


@dataclass(frozen=True)
class App:
    """Start the app; its address is printed, for the browser."""

    port: int = 8501
    """Port of the server."""
    address: str = "localhost"
    """Address to listen on; 0.0.0.0 for all networks (see docs/deployment.md first)."""

    def run(self) -> None:
        if not 1 <= self.port <= 65535:
            raise CommandError("--port must be from 1 to 65535.")
        with (paths.app() / ".streamlit" / "config.toml").open("rb") as file:
            settings = tomllib.load(file)
        settings["server"] |= {"port": self.port, "address": self.address}
        if not action_policy.is_local(self.address):
            settings["server"]["allowedHosts"] = ["*"]  # the names of the server are not known
        self._announce(settings)
        # -P: no module of the working directory is imported
        command = [
            sys.executable,
            "-P",
            "-m",
            "streamlit",
            "run",
            str(paths.app() / "app.py"),
            *_options(settings),
        ]
        raise SystemExit(subprocess.call(command))

    def _announce(self, settings: dict[str, Any]) -> None:
        """Print what the pages may start."""
        server = settings["server"]
        policy = action_policy.ServerSettings(
            address=server["address"],
            public_name=settings["browser"]["serverAddress"],
            allowed_hosts=tuple(server["allowedHosts"]),
            origins=(),
            checks_origin=server["enableCORS"] and server["enableXsrfProtection"],
        )
        setting = os.environ.get(action_policy.VARIABLE, "").strip().lower()
        console.print(action_policy.announcement(setting, policy), soft_wrap=True, highlight=False)


def _options(settings: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """The settings of config.toml as options: Streamlit looks for that file in the working directory only."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from _options(value, f"{prefix}{name}.")
        else:
            for item in value if isinstance(value, list) else [value]:
                yield f"--{prefix}{name}"
                yield str(item).lower() if isinstance(item, bool) else str(item)
