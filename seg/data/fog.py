"""How fog hides a street scene: the light that reaches the camera from each row of a photo."""

import numpy as np

HORIZON, NEAREST, FARTHEST = 0.42, 2.64, 100.0
"""The row of the horizon as a share of the height; the distance in meters at which the road is one height
below it, for a camera 1.2 m above the road as that of Cityscapes; and the distance of everything that is
above the horizon."""

AIR_LIGHT = 210.0
"""Brightness of dense fog by day, 0 to 255."""


def transmission(rows: np.ndarray, density: float) -> np.ndarray:
    """Return the share of light that passes the fog between the scene and the camera (Koschmieder 1924).

    A photo has no distances. Those of a flat road follow from the height in the picture; everything above the
    horizon is taken to be `FARTHEST` away. Buildings, trees and vehicles are therefore in denser fog than
    they would be.

    Args:
        rows: places in the photo from 0, its top, to 1.
        density: per meter. Those of Sakaridis, Dai and Van Gool 2018, "Semantic Foggy Scene Understanding
            with Synthetic Data", are 0.005 to 0.02.
    """
    distance = np.minimum(NEAREST / np.maximum(rows - HORIZON, 1e-6), FARTHEST)
    return np.exp(-density * distance)
