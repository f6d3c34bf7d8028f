"""The command that starts the app: app."""

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

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
    engine: Literal["auto", "torch", "onnx", "openvino"] | None = None
    """What computes masks: torch; onnx (ONNX Runtime) or openvino, on the CPU; auto: openvino on a CPU if it
    is installed; by default SEG_ENGINE, or torch."""
    precision: Literal["auto", "fp32", "bf16", "int8"] | None = None
    """auto: the faster one of fp32 and bf16; int8 after `quantize`; by default SEG_PRECISION, or auto."""

    def run(self) -> None:
        if not 1 <= self.port <= 65535:
            raise CommandError("--port must be from 1 to 65535.")
        with (paths.app() / ".streamlit" / "config.toml").open("rb") as file:
            settings = tomllib.load(file)
        settings["server"] |= {"port": self.port, "address": self.address}
        if not action_policy.is_local(self.address):
            settings["server"]["allowedHosts"] = ["*"]  # the names of the server are not known
        self._set_engine()
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

    def _set_engine(self) -> None:
        """Set the variables of the engine for the server, and check that it can compute the weights."""
        chosen = {"SEG_ENGINE": self.engine, "SEG_PRECISION": self.precision}
        os.environ.update({variable: value for variable, value in chosen.items() if value})
        if not any(os.environ.get(variable) for variable in chosen):
            return
        from seg.inference.engines import check_engine, engine_setting  # they import PyTorch
        from seg.models.registry import list_weights

        check_engine(engine_setting(), list_weights())

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
