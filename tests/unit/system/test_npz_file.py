"""Damaged archives of arrays are refused with a ValueError."""

import numpy as np
import pytest

from seg.system.npz_file import read_arrays


def test_arrays_are_read_and_damage_is_found(tmp_path):
    file = tmp_path / "a.npz"
    np.savez_compressed(file, values=np.arange(1000))
    assert read_arrays(file)["values"].tolist() == list(range(1000))
    content = file.read_bytes()
    changed = bytearray(content)
    changed[200] ^= 255
    for damaged in (content[:-100], bytes(changed), b"", b"no archive"):
        file.write_bytes(damaged)
        with pytest.raises(ValueError):
            read_arrays(file)
    file.unlink()
    with pytest.raises(OSError):
        read_arrays(file)
