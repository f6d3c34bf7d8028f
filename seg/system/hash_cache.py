"""A cache of hashes of files that pages ask for on every rerun. One thread at a time computes one."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

MAX_HASHES = 64

_hashes: OrderedDict[Hashable, str] = OrderedDict()
_lock = threading.Lock()


def cached_hash(key: Hashable, compute: Callable[[], str]) -> str:
    """Return a hash, and compute it if it is not cached.

    Args:
        key: identifies the files in their present state.
        compute: reads the files.
    """
    with _lock:
        if key not in _hashes:
            _hashes[key] = compute()
        _hashes.move_to_end(key)
        while len(_hashes) > MAX_HASHES:
            _hashes.popitem(last=False)
        return _hashes[key]
