"""Threads of streams are used again, as many as there are streams, and few wait."""

from __future__ import annotations

import gc
import threading
import weakref

from athanor.storeapi.reader_threads import IDLE, MAX_IDLE, run_in_thread


def idle() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == IDLE]


def test_one_after_the_other_run_in_the_same_thread():
    ran = []
    for _ in range(50):
        run_in_thread("series a", lambda: ran.append(threading.get_ident())).wait(5)
    assert len(ran) == 50
    assert len(set(ran)) == 1


def test_any_number_runs_at_once_and_few_stay():
    n = 3 * MAX_IDLE
    together, go_on = threading.Barrier(n + 1), threading.Event()

    def work() -> None:
        together.wait(10)
        go_on.wait(10)

    ended = [run_in_thread(f"series {i}", work) for i in range(n)]
    together.wait(10)  # breaks unless all of them run
    assert sum(thread.name.startswith("series ") for thread in threading.enumerate()) == n
    go_on.set()
    assert all(one.wait(5) for one in ended)
    assert 0 < len(idle()) <= n
    assert run_in_thread("series b", lambda: None).wait(5)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(("series ", IDLE))]
    for thread in threads:
        thread.join(0.05)  # those beyond the limit are on their way out
    assert len(idle()) <= MAX_IDLE


def test_an_idle_thread_keeps_nothing_of_the_last_stream():
    class Query:
        def work(self) -> None:
            pass

    query = Query()
    gone = weakref.ref(query)
    assert run_in_thread("series c", query.work).wait(5)
    assert run_in_thread("series d", lambda: None).wait(5)  # the thread has come back for more
    del query
    gc.collect()
    assert gone() is None
