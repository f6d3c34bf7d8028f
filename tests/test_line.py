"""Turns are taken in the order in which they were asked for."""

import threading
import time
from collections.abc import Callable

import pytest

from seg import line
from seg.line import FullError, Line, Once


def until(true) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_first_come_first_served_one_at_a_time_and_whoever_asks_again_is_last():
    shop, order, inside, waiting = Line(9), [], [], []

    def visit(who: str, times: int) -> None:
        for _ in range(times):
            with shop.turn(lambda before: waiting.append(who)):
                inside.append(who)
                assert len(inside) == 1
                time.sleep(0.01)
                order.append(who)
                inside.remove(who)

    with shop.turn():
        threads = []
        for who, times in (("batch", 3), ("ann", 1), ("bob", 1)):
            threads.append(threading.Thread(target=visit, args=(who, times)))
            threads[-1].start()
            until(lambda who=who: who in waiting)
    for thread in threads:
        thread.join()
    assert order == ["batch", "ann", "bob", "batch", "batch"]


def test_everyone_is_told_its_place_again_and_again_and_may_give_up(monkeypatch):
    monkeypatch.setattr(line, "POLL", 0.01)
    shop, places, gone = Line(9), [], []

    class Left(BaseException):
        """As Streamlit ends a script whose visitor has left."""

    def last(before: int) -> None:
        places.append(before)
        if gone:
            raise Left

    def wait() -> None:
        with pytest.raises(Left), shop.turn(last):
            raise AssertionError("it had given up")

    def stay(came: Callable[[int], None], leave: threading.Event) -> None:
        with shop.turn(came):
            leave.wait(30)

    coming, leave = threading.Event(), threading.Event()
    with shop.turn():
        second = threading.Thread(target=stay, args=(lambda before: coming.set(), leave))
        second.start()
        assert coming.wait(30)
        third = threading.Thread(target=wait)
        third.start()
        until(lambda: places.count(2) > 2)
    until(lambda: places.count(1) > 2)
    gone.append(True)
    third.join(30)
    assert not third.is_alive() and set(places) == {1, 2}
    leave.set()
    second.join(30)


def test_where_too_many_wait_one_more_is_told_so_at_once_and_may_ask_again_later():
    shop, waiting = Line(1), threading.Event()

    def wait() -> None:
        with shop.turn(lambda before: waiting.set()):
            pass

    second = threading.Thread(target=wait)
    with shop.turn():
        second.start()
        assert waiting.wait(30)
        with pytest.raises(FullError, match="1 photos wait for the network already"), shop.turn():
            raise AssertionError("it was let in")
    second.join(30)
    with shop.turn():
        pass


def test_the_turn_ends_with_an_error_too():
    shop = Line(9)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), shop.turn():
            raise ZeroDivisionError
    with shop.turn():
        pass


def test_the_same_work_asked_for_meanwhile_is_done_once_and_its_error_is_everybodys():
    once, done, got, meanwhile = Once(), [], [], threading.Semaphore(0)
    go = threading.Event()

    def work() -> int:
        done.append(1)
        assert go.wait(30)
        if len(done) == 2:
            raise ZeroDivisionError
        return 7

    def ask() -> None:
        try:
            got.append(once.do("key", work, meanwhile.release))
        except ZeroDivisionError:
            got.append("error")

    for number, wanted in ((1, 7), (2, "error")):
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            assert meanwhile.acquire(timeout=30)
        assert once.do("other key", lambda: 8) == 8
        go.set()
        for thread in threads:
            thread.join(30)
        assert got == [wanted] * 3 and len(done) == number
        got.clear()
        go.clear()
        while meanwhile.acquire(blocking=False):
            pass


def test_if_who_does_it_gives_up_another_who_waits_does_it():
    once, began, leave, got = Once(), threading.Event(), threading.Event(), []

    class Left(BaseException):
        pass

    def give_up() -> None:
        began.set()
        leave.wait(30)
        raise Left

    def leaver() -> None:
        with pytest.raises(Left):
            once.do("key", give_up)

    first = threading.Thread(target=leaver)
    first.start()
    assert began.wait(30)
    second = threading.Thread(target=lambda: got.append(once.do("key", lambda: 7, leave.set)))
    second.start()
    first.join(30)
    second.join(30)
    assert got == [7]
