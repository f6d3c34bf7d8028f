"""A thread-safe LRU cache, and caches that live in a visitor's session."""

import threading
from collections.abc import Callable
from typing import Any, Literal, get_args

from ui.state.session import session

SessionCache = Literal["photo_facts", "predictions", "activations"]
SESSION_CACHES: tuple[SessionCache, ...] = get_args(SessionCache)
"""Keys of the caches in a session."""


class LruCache:
    """Values by key; the least recently used ones are dropped first.

    Args:
        capacity: Maximum number of values.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity, self._lock = capacity, threading.Lock()
        self._values: dict[tuple, Any] = {}

    def get(self, key: tuple) -> Any:
        """Return the value of a key, or None, and mark it as the most recently used."""
        with self._lock:
            value = self._values.pop(key, None)
            if value is not None:
                self._values[key] = value
            return value

    def put(self, key: tuple, value: Any) -> None:
        """Store a value and drop the oldest ones beyond the capacity."""
        with self._lock:
            self._values[key] = value
            while len(self._values) > self._capacity:
                del self._values[next(iter(self._values))]

    def keep(self, is_kept: Callable[[Any], bool]) -> None:
        """Remove all values for which a function returns False."""
        with self._lock:
            self._values = {key: value for key, value in self._values.items() if is_kept(value)}

    def drop(self, digest: str) -> None:
        """Remove all values of the photo with this digest, and the photo itself."""
        with self._lock:
            for key, value in list(self._values.items()):
                if digest in key or (isinstance(value, dict) and value.get("digest") == digest):
                    del self._values[key]


def session_cache(name: SessionCache, capacity: int) -> LruCache:
    """Return a cache for a visitor's own photos. It is deleted with the visitor's session.

    Args:
        name: Key in the session state.
        capacity: Maximum number of values if the cache is created by this call.
    """
    return session().setdefault(name, LruCache(capacity))
