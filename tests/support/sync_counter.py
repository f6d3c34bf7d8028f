"""A count of the operations for which the host would wait for a GPU."""

from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_RESULT_ON_HOST = ("_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal")
"""Operations whose result, or its shape, depends on values on the device: item(), float(), nonzero()."""


class SyncCounter(TorchDispatchMode):
    """Counts synchronizing operations by name while it is active, on a CPU as they would be on a GPU.

    Copies from a GPU to the host are counted on GPUs only.
    """

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = function.overloadpacket.__name__
        result = function(*args, **(kwargs or {}))
        if (
            name in _RESULT_ON_HOST
            or (name in ("index", "index_put", "index_put_") and _has_boolean_index(args[1]))
            or (name in ("_to_copy", "copy_") and _leaves_device(args, result))
        ):
            self.counts[name] += 1
        return result


def _has_boolean_index(indices: Any) -> bool:
    return any(isinstance(index, Tensor) and index.dtype == torch.bool for index in indices)


def _leaves_device(args: tuple, result: Tensor) -> bool:
    source = args[1] if len(args) > 1 and isinstance(args[1], Tensor) else args[0]
    return source.device.type != "cpu" and result.device.type == "cpu"
