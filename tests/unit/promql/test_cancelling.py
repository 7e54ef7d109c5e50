"""An evaluation whose client has left ends soon, whatever kind of operator is at work."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from athanor.model.budget import Budget
from athanor.model.cancel import Cancelled, CancelToken
from athanor.promql import rows
from athanor.promql.engine import Engine, EngineOptions
from athanor.promql.features import Features
from tests.conformance.memory_storage import MemoryStorage

from .some_series import counters, histograms, loaded
from .test_budgets import HISTOGRAM_KINDS

STEP_MS, N_STEPS, N_SERIES = 250, 14_401, 60
SOON_S = 0.2
ATTEMPTS = 4
DELAYS_S = (0.02, 0.1, 0.3)

pytestmark = pytest.mark.alone


@pytest.fixture(scope="module", autouse=True)
def tiles_in_threads() -> Iterator[None]:
    """Also small tiles go to worker threads, as large ones do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "INLINE_SAMPLES", 0)
        yield


@pytest.fixture(scope="module")
def storage() -> MemoryStorage:
    series = histograms("h", range(N_SERIES)) + counters("y", range(N_SERIES // 2, N_SERIES))
    return loaded(series, tile_size=10)


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    made = Engine(EngineOptions(features=replace(Features.all(), x_functions=True)), n_threads=2)
    yield made
    made.close()


def seconds_to_end(engine: Engine, storage: MemoryStorage, query: str, delay_s: float) -> float:
    """From the cancellation to the end of the evaluation; 0 where it had ended before."""
    token, budget, ended = CancelToken(), Budget(1 << 40), threading.Event()

    def evaluate() -> None:
        with budget:
            try:
                engine.range(storage, query, 0, (N_STEPS - 1) * STEP_MS, STEP_MS, budget=budget, cancel=token)
            except Cancelled:
                pass
            finally:
                ended.set()

    thread = threading.Thread(target=evaluate)
    thread.start()
    time.sleep(delay_s)
    token.cancel("the client has left")
    left_at = time.monotonic()
    assert ended.wait(60)
    thread.join()
    assert budget.held_bytes == 0
    return time.monotonic() - left_at


@pytest.mark.parametrize("delay_s", DELAYS_S)
@pytest.mark.parametrize("query", HISTOGRAM_KINDS.values(), ids=HISTOGRAM_KINDS)
def test_work_on_native_histograms_ends_soon(engine, storage, query, delay_s):
    assert any(seconds_to_end(engine, storage, query, delay_s) < SOON_S for _ in range(ATTEMPTS))
