"""Requests are served in order, and simultaneous equal requests share one result."""

import threading
import time
from collections.abc import Callable

import pytest

from seg.system import request_queue
from seg.system.request_queue import QueueFullError, RequestQueue
from seg.system.single_flight import SingleFlight


def until(true) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_requests_are_served_singly_in_order():
    shop, order, inside, waiting = RequestQueue(9), [], [], []

    def visit(who: str, times: int) -> None:
        for _ in range(times):
            with shop.acquire(lambda before: waiting.append(who)):
                inside.append(who)
                assert len(inside) == 1
                time.sleep(0.01)
                order.append(who)
                inside.remove(who)

    with shop.acquire():
        threads = []
        for who, times in (("batch", 3), ("ann", 1), ("bob", 1)):
            threads.append(threading.Thread(target=visit, args=(who, times)))
            threads[-1].start()
            until(lambda who=who: who in waiting)
    for thread in threads:
        thread.join()
    assert order == ["batch", "ann", "bob", "batch", "batch"]


def test_waiting_requests_learn_their_place_and_may_leave(monkeypatch):
    monkeypatch.setattr(request_queue, "POLL", 0.01)
    shop, places, gone = RequestQueue(9), [], []

    class Left(BaseException):
        """Streamlit ends the script of a visitor who left in this way."""

    def last(before: int) -> None:
        places.append(before)
        if gone:
            raise Left

    def wait() -> None:
        with pytest.raises(Left), shop.acquire(last):
            raise AssertionError("it had given up")

    def stay(came: Callable[[int], None], leave: threading.Event) -> None:
        with shop.acquire(came):
            leave.wait(30)

    coming, leave = threading.Event(), threading.Event()
    with shop.acquire():
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


def test_a_full_queue_refuses_requests_until_it_has_room():
    shop, waiting = RequestQueue(1), threading.Event()

    def wait() -> None:
        with shop.acquire(lambda before: waiting.set()):
            pass

    second = threading.Thread(target=wait)
    with shop.acquire():
        second.start()
        assert waiting.wait(30)
        with pytest.raises(QueueFullError, match="1 photos are already waiting"), shop.acquire():
            raise AssertionError("it was let in")
    second.join(30)
    with shop.acquire():
        pass


def test_an_error_ends_the_turn():
    shop = RequestQueue(9)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError), shop.acquire():
            raise ZeroDivisionError
    with shop.acquire():
        pass


def test_simultaneous_equal_requests_share_the_result_or_error():
    once, done, results, meanwhile = SingleFlight(), [], [], threading.Semaphore(0)
    go = threading.Event()

    def work() -> int:
        done.append(1)
        assert go.wait(30)
        if len(done) == 2:
            raise ZeroDivisionError
        return 7

    def ask() -> None:
        try:
            results.append(once.do("key", work, meanwhile.release))
        except ZeroDivisionError:
            results.append("error")

    for number, expected in ((1, 7), (2, "error")):
        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(2):
            assert meanwhile.acquire(timeout=30)
        assert once.do("other key", lambda: 8) == 8
        go.set()
        for thread in threads:
            thread.join(30)
        assert results == [expected] * 3 and len(done) == number
        results.clear()
        go.clear()
        while meanwhile.acquire(blocking=False):
            pass


def test_a_waiting_thread_takes_over_abandoned_work():
    once, began, leave, results = SingleFlight(), threading.Event(), threading.Event(), []

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
    second = threading.Thread(target=lambda: results.append(once.do("key", lambda: 7, leave.set)))
    second.start()
    first.join(30)
    second.join(30)
    assert results == [7]


def test_several_threads_hold_the_lock_and_the_next_waits():
    shop, positions, inside, leave = RequestQueue(9, holders=2), [], [], threading.Event()

    def stay(number: int) -> None:
        with shop.acquire(lambda ahead: positions.append((number, ahead))):
            inside.append(number)
            leave.wait(30)

    threads = [threading.Thread(target=stay, args=(number,)) for number in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        until(lambda number=number: number in {place[0] for place in positions})
    until(lambda: sorted(inside) == [0, 1])
    assert (2, 2) in positions
    leave.set()
    for thread in threads:
        thread.join(30)
    assert sorted(inside) == [0, 1, 2]


class Shop:
    """A queue whose clock stands still, and threads of visitors that hold it until they may leave."""

    def __init__(self, monkeypatch, holders: int) -> None:
        self.now, self.order, self.ended = 0.0, [], []
        self.leave: dict[str, threading.Semaphore] = {}
        monkeypatch.setattr(request_queue, "_clock", lambda: self.now)
        self._visitor = threading.local()
        self.queue = RequestQueue(holders=holders, visitor=lambda: self._visitor.name)

    def come(self, name: str, seconds: float = 0, expected: float = 0) -> None:
        """Lets a visitor ask for the lock; its turn takes so many seconds."""
        here = threading.Event()
        self.leave.setdefault(name, threading.Semaphore(0))
        threading.Thread(target=self._visit, args=(name, seconds, expected, here)).start()
        assert here.wait(30)

    def _visit(self, name: str, seconds: float, expected: float, here: threading.Event) -> None:
        self._visitor.name = name
        with self.queue.acquire(lambda ahead: here.set(), expected):
            self.order.append(name)
            assert self.leave[name].acquire(timeout=30)
            self.now += seconds
        self.ended.append(name)

    def serve(self, names: str) -> str:
        """Lets the present holders leave in this order -> the visitors in the order of their turns."""
        for name in names:
            ended = len(self.ended)
            self.leave[name].release()
            until(lambda ended=ended: len(self.ended) > ended)
        return "".join(self.order)


def test_visitors_take_turns_by_the_time_they_used(monkeypatch):
    shop = Shop(monkeypatch, holders=1)
    for name, seconds in (("a", 4), ("a", 4), ("a", 4), ("b", 1), ("b", 1), ("c", 2)):
        shop.come(name, seconds)
    assert shop.serve("abcbaa") == "abcbaa"


def test_a_visitor_holds_the_lock_once_at_a_time(monkeypatch):
    shop = Shop(monkeypatch, holders=2)
    for name in "aab":
        shop.come(name)
    until(lambda: shop.order == ["a", "b"])
    assert shop.serve("baa") == "aba"


@pytest.mark.parametrize(("pause", "order"), [(0, "acba"), (61, "acab")])
def test_the_use_of_a_visitor_counts_for_a_minute(monkeypatch, pause, order):
    shop = Shop(monkeypatch, holders=1)
    shop.come("a", 10)
    shop.serve("a")
    shop.now += pause
    for name in "cab":
        shop.come(name)
        shop.now += 2.5
    assert shop.serve(order[1:]) == order


def test_quick_requests_go_first_but_slow_ones_do_not_starve(monkeypatch):
    shop = Shop(monkeypatch, holders=1)
    shop.come("a")
    shop.come("b", expected=5)
    for name in "cde":
        shop.now += 2
        shop.come(name)
    assert shop.serve("acdbe") == "acdbe"


def test_slow_requests_leave_a_place_to_quick_ones(monkeypatch):
    shop = Shop(monkeypatch, holders=2)
    for name in "ab":
        shop.come(name, seconds=5, expected=5)
    shop.come("c")
    until(lambda: shop.order == ["a", "c"])
    assert shop.serve("cab") == "acb"
    shop.come("a")  # its first request was slow
    shop.come("b")
    until(lambda: shop.order == list("acba"))
    shop.come("c")
    assert shop.serve("cab") == "acbacb"
