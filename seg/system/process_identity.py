"""The identity of a process in files that other processes read: a process id alone is reused.

A record names the computer, its boot, the process namespace (containers have their own), the process id and
the start of the process. Records of versions before 1.1 contain the process id only.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeGuard

import psutil

START_TOLERANCE = 1.0
"""Seconds by which two readings of the start of one process may differ: system clocks are adjusted."""

State = Literal["running", "gone", "elsewhere", "unverified"]
"""running or gone: certain. elsewhere: the process belongs to another computer or container. unverified: an
earlier version recorded a process id, and a process that is old enough has it."""


@dataclass(frozen=True)
class ProcessIdentity:
    """A process of a certain computer.

    Attributes:
        pid: its process id.
        started: its start in seconds after the boot; None if it had ended before it was recorded.
        host: the name of the computer or container.
        system: the boot of the computer and the process namespace, in which process ids are unique.
    """

    pid: int
    started: float | None
    host: str
    system: str

    def to_json(self) -> dict[str, Any]:
        """The fields, to be stored beside others."""
        return asdict(self)


def identify(pid: int | None = None) -> ProcessIdentity:
    """Return the identity of a process of this computer; by default of this process."""
    pid = os.getpid() if pid is None else pid
    return ProcessIdentity(pid, _start_of(pid), socket.gethostname(), _system())


def is_own(record: Mapping[str, Any]) -> bool:
    """Return whether a record describes this process."""
    own = identify()
    if "system" not in record:
        return record.get("pid") == own.pid
    return (record.get("pid"), record["system"]) == (own.pid, own.system) and _is_same_start(
        record.get("started"), own.started
    )


def state_of(record: Mapping[str, Any]) -> State:
    """Return what is known about the process of a record.

    Args:
        record: the fields of `ProcessIdentity.to_json` with the ``time`` of the record; not trusted.
    """
    pid = record.get("pid")
    if type(pid) is not int or not 0 < pid < 2**31:
        return "gone"
    if "system" in record:
        if record["system"] != _system():
            return "gone" if _is_from_earlier_boot(record) else "elsewhere"
        return "running" if _is_same_start(record.get("started"), _start_of(pid)) else "gone"
    started, time = _start_of(pid), record.get("time")
    if started is None or not _is_time(time):
        return "gone"
    return "unverified" if psutil.boot_time() + started <= time + START_TOLERANCE else "gone"


def may_exist(record: Mapping[str, Any]) -> bool:
    """Return whether the process of a record exists, or, for earlier versions, one with its process id."""
    pid = record.get("pid")
    if "system" not in record:
        return type(pid) is int and 0 < pid < 2**31 and psutil.pid_exists(pid)
    return state_of(record) != "gone"


def terminate(record: Mapping[str, Any]) -> bool:
    """Send SIGTERM to the process of a record; return whether it was certainly the right one."""
    try:
        process = psutil.Process(record["pid"])  # from now on, psutil refuses to signal a successor
        if state_of(record) != "running":
            return False
        process.terminate()
    except (psutil.Error, KeyError, TypeError, ValueError, OverflowError):
        return False
    return True


def _start_of(pid: int) -> float | None:
    """Return the start of a process in seconds after the boot; None if there is none, or only its remains."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return round(process.create_time() - psutil.boot_time(), 2)
    except (psutil.Error, ValueError, OverflowError):
        return None


def _is_same_start(recorded: Any, started: float | None) -> bool:
    if started is None or not _is_time(recorded):
        return False
    return abs(recorded - started) <= START_TOLERANCE


def _is_time(value: Any) -> TypeGuard[float]:
    """Return whether a value is a number of seconds; JSON also has integers that no float can hold."""
    return isinstance(value, int | float) and abs(value) < 1e12


def _is_from_earlier_boot(record: Mapping[str, Any]) -> bool:
    """Return whether this computer wrote a record before it was restarted."""
    time = record.get("time")
    return record.get("host") == socket.gethostname() and _is_time(time) and time < psutil.boot_time()


@cache
def _system() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux: there are no namespaces
        return f"{socket.gethostname()} {psutil.boot_time():.0f}"
