"""A cache of hashes of files, in memory and as a small record in the cache folder.

Pages ask for the same hashes on every rerun, and every command that reads a data set needs one. One thread at
a time computes a hash.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from seg import paths
from seg.system.atomic_io import write_json
from seg.system.json_file import read_json_object

MAX_HASHES = 64

RECORD = "hashes.json"
"""The record in the cache folder: hashes by key, the newest last."""

SETTLED_SECONDS = 2.0
"""Time after the last change of files before their hash is recorded: file systems may not tell apart two
changes within their clock's step."""

_hashes: OrderedDict[str, str] = OrderedDict()
_lock = threading.Lock()


def cached_hash(key: str, last_change: float, compute: Callable[[], str]) -> str:
    """Return a hash, and compute it if it is neither in memory nor in the record.

    Args:
        key: identifies the files in their present state.
        last_change: when one of the files was last modified, in seconds since the epoch.
        compute: reads the files.
    """
    with _lock:
        if key not in _hashes:
            recorded = _read_record().get(key)
            if isinstance(recorded, str):
                _hashes[key] = recorded
            else:
                _hashes[key] = compute()
                if last_change < time.time() - SETTLED_SECONDS:
                    _add_to_record(key, _hashes[key])
        _hashes.move_to_end(key)
        while len(_hashes) > MAX_HASHES:
            _hashes.popitem(last=False)
        return _hashes[key]


def _read_record() -> dict[str, object]:
    """Return the record; empty if there is none, or if it is damaged."""
    with suppress(OSError, ValueError):
        return read_json_object(paths.cache() / RECORD)
    return {}


def _add_to_record(key: str, value: str) -> None:
    """Record a hash. If two processes do so at once, one of the hashes is computed again later."""
    entries = [(k, v) for k, v in _read_record().items() if k != key]
    with suppress(OSError):  # without a record, hashes are computed again
        paths.cache().mkdir(parents=True, exist_ok=True)
        write_json(paths.cache() / RECORD, dict([*entries[1 - MAX_HASHES :], (key, value)]))
