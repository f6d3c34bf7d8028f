"""Many visitors of one server at once, each by a websocket of its own: nobody is given what is another's, or nothing."""

import numpy as np
import pytest
from visitor import Visitor, crowd, jpeg

from seg import weights
from seg.predict import Predictor


@pytest.fixture(scope="module")
def url(serve, registry) -> str:
    return serve(registry)


@pytest.fixture(scope="module")
def predictor(registry) -> Predictor:
    return Predictor.of(weights.DEFAULT, folder=registry)


def test_everyone_in_a_crowd_is_given_the_masks_of_its_own_photos(url, predictor):
    sizes = [(640, 320), (400, 300), (2600, 1950)]
    # the same names for different photos, and one photo that several give at once
    given = [{f"{n}.jpg": jpeg(0 if n == 1 else 10 * v + n, sizes[n]) for n in range(3)} for v in range(5)]
    served = crowd(url, given)
    assert len(served) == 15
    for one in served:
        shown = next(iter(one.masks.values())).shape
        wanted = predictor.predict(given[one.visitor][one.name], seen_at=shown).masks
        assert one.masks.keys() == wanted.keys() and max(shown) <= 2048
        for variant, mask in one.masks.items():
            np.testing.assert_array_equal(mask, wanted[variant])


def test_a_bad_file_is_told_to_who_gave_it_only_and_the_next_photo_works(url):
    with Visitor(url) as ann, Visitor(url) as bob:
        for visitor in (ann, bob):
            visitor.open()
        ann.upload({"notes.jpg": b"no picture"})
        ann.settle()
        bob.upload({"street.jpg": jpeg(5, (320, 160))})
        assert bob.masks("street.jpg")
        bob.settle()
        assert ["This file is not a picture" in alert.body for alert in ann.of("alert")] == [True]
        assert not bob.of("alert")
        ann.upload({"street.jpg": jpeg(6, (320, 160))})
        assert ann.masks("street.jpg")
