"""Many concurrent visitors of a server, each with a separate websocket, receive their own results."""

import struct

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from seg.inference.predictor import Predictor
from seg.models.registry import DEFAULT_WEIGHTS
from tests.support.visitor import Visitor, crowd, jpeg


@pytest.fixture(scope="module")
def url(serve, registry) -> str:
    return serve(registry)


@pytest.fixture(scope="module")
def predictor(registry) -> Predictor:
    return Predictor.from_pretrained(DEFAULT_WEIGHTS, folder=registry)


def test_concurrent_visitors_receive_their_own_masks(url, predictor):
    sizes = [(640, 320), (400, 300), (2600, 1950)]
    # the same names for different photos, and one photo that several visitors upload at once
    uploads = [{f"{n}.jpg": jpeg(0 if n == 1 else 10 * v + n, sizes[n]) for n in range(3)} for v in range(5)]
    served = crowd(url, uploads)
    assert len(served) == 15
    for answer in served:
        shape = next(iter(answer.masks.values())).shape
        expected = predictor.predict(uploads[answer.visitor][answer.name], output_size=shape).masks
        assert answer.masks.keys() == expected.keys() and max(shape) <= 2048
        for variant, mask in answer.masks.items():
            np.testing.assert_array_equal(mask, expected[variant])


def test_a_bad_file_is_reported_to_its_visitor_only(url):
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


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (struct.pack(">BBQL", 0x82, 0x80 | 127, 12_000_000, 0), CloseCode.MESSAGE_TOO_BIG),  # only its head
        (struct.pack(">BBL", 2, 0x80, 0) + struct.pack(">BBL", 0, 0x80, 0) * 20_000, None),  # empty parts
    ],
)
def test_large_messages_are_refused_before_they_arrive(url, message, code):
    with Visitor(url) as bob:
        bob.open()  # the first page of a server sets the limits
        with Visitor(url) as ann:
            ann.open()
            ann.socket.socket.sendall(message)
            with pytest.raises(ConnectionClosed) as closed:
                list(ann.messages())
        assert code == (closed.value.rcvd and closed.value.rcvd.code)
        bob.open("batch")
