"""``query`` and ``query_range``: parameters, a slot, evaluation, the answer written while the client reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Protocol

from athanor.model.budget import Budget
from athanor.model.cancel import Cancelled, CancelToken
from athanor.model.errors import AthanorError
from athanor.model.log import Logger
from athanor.model.metrics import Registry
from athanor.model.rpc import StatusError
from athanor.model.select import Storage
from athanor.promql.engine import Engine, Result
from athanor.promql.errors import ParseError
from athanor.promql.notes import Note
from athanor.query.analysis import NOT_EXPLAINABLE, Timings, analysis_text, explained, stats_text, tree_text
from athanor.query.gate import Gate, GateMetrics
from athanor.query.json_result import result_pieces, text_bytes_held
from athanor.query.query_params import ENGINES, QueryDefaults, QueryParams, engine_of, read_instant, read_range
from athanor.query.requests import ApiError, ApiHandler, ApiReply, ApiRequest, bad_data, failure, streamed, success
from athanor.query.storage import Fanned
from athanor.storeapi.client import rpc_error_text

SPAN_BUCKETS = tuple(900 * 2**i for i in range(12))
NOT_ANALYZABLE = "Query not analyzable; change engine to 'thanos'."
NOT_ANALYZABLE_AS_THANOS = "Query fallback to prometheus engine; not analyzable."


class MakeStorage(Protocol):
    """The stores behind one query."""

    def __call__(self, params: QueryParams, cancel: CancelToken) -> Storage: ...


@dataclass(frozen=True, slots=True)
class Memory:
    """process: all queries together; query_bytes: one of them."""

    process: Budget
    query_bytes: int

    def new_budget(self) -> Budget:
        """The budget of one query, released when the query ends."""
        return Budget(self.query_bytes, self.process)


class QueryMetrics:
    """What the evaluation of queries counts."""

    def __init__(self, registry: Registry, max_concurrent: int) -> None:
        self.gate = GateMetrics(registry, "thanos_query_concurrent_gate_queries", max_concurrent)
        self.span = registry.histogram(
            "thanos_query_range_requested_timespan_duration_seconds", "Time spans of range queries.", SPAN_BUCKETS
        )
        labels = ("engine", "mode")
        self.held = registry.gauge(
            "athanor_queries_held", "Queries that are evaluated or whose answer is not yet written or dropped."
        )
        self._running = registry.gauge_family("prometheus_engine_queries", "Queries that run or wait.", labels)
        self._durations = registry.summary_family(
            "prometheus_engine_query_duration_seconds", "How long the phases of queries took.", (*labels, "slice")
        )
        for engine in ENGINES:
            self._running.of(engine, "local")

    def running(self, engine: str, change: float) -> None:
        """One query more, or less."""
        self._running.of(engine, "local").inc(change)

    def took(self, engine: str, phase: str, seconds: float) -> None:
        """A phase of a query ended."""
        self._durations.of(engine, "local", phase).observe(seconds)


class QueryApi:
    """The evaluating half of the HTTP API."""

    def __init__(
        self,
        engine: Engine,
        make_storage: MakeStorage,
        memory: Memory,
        metrics: QueryMetrics,
        max_concurrent: int,
        defaults: QueryDefaults,
        log: Logger,
        json_workers: Executor | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """json_workers: threads that write answers; None leaves it to the reader's thread."""
        self._engine, self._make_storage, self._memory = engine, make_storage, memory
        self._metrics, self._gate = metrics, Gate(max_concurrent, metrics.gate)
        self._defaults, self._log, self._json_workers, self._now_ms = defaults, log, json_workers, now_ms

    def query(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """An instant query."""
        return self._evaluate(read_instant(request, self._defaults, self._now_ms()), cancel)

    def query_range(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """A range query."""
        params = read_range(request, self._defaults)
        self._metrics.span.observe((params.last_ms - params.first_ms) / 1000)
        return self._evaluate(params, cancel)

    def explain(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """The operators of an instant query."""
        _refuse_explain(request)
        return self._explained(read_instant(request, self._defaults, self._now_ms()))

    def explain_range(self, request: ApiRequest, cancel: CancelToken) -> ApiReply:
        """The operators of a range query."""
        _refuse_explain(request)
        return self._explained(read_range(request, self._defaults))

    def _explained(self, params: QueryParams) -> ApiReply:
        options = replace(self._engine.options, lookback_ms=params.lookback_ms)
        found = self._engine.explain(params.query, params.first_ms, params.last_ms, params.step_ms, options=options)
        if found is None:
            raise bad_data(NOT_EXPLAINABLE)
        return success(tree_text(found))

    def _evaluate(self, params: QueryParams, cancel: CancelToken) -> ApiReply:
        deadline = cancel.child(timeout_s=params.timeout_s)
        timings = Timings()
        self._metrics.running(params.engine, 1)
        held = ExitStack()
        self._metrics.held.inc()
        held.callback(self._metrics.held.dec)
        try:
            with self._slot(deadline, timings):
                prepared_at = time.perf_counter()
                # The budget outlives the slot: the result is held until its last piece is written.
                budget = held.enter_context(self._memory.new_budget())
                storage = self._make_storage(params, deadline)
                evaluated_at = time.perf_counter()
                timings.prepared_s = evaluated_at - prepared_at
                result = self._result(params, storage, budget, deadline)
                timings.evaluated_s = time.perf_counter() - evaluated_at
            budget.take("the answer's text", text_bytes_held(result))
            return self._reply(params, result, storage, timings, held.pop_all().close)
        except BaseException:
            deadline.cancel("the query has failed")  # its streams end now, not when the error is forgotten
            raise
        finally:
            held.close()
            self._metrics.running(params.engine, -1)
            self._metrics.took(params.engine, "queue_time", timings.queued_s)
            self._metrics.took(params.engine, "inner_eval", timings.evaluated_s)

    @contextmanager
    def _slot(self, cancel: CancelToken, timings: Timings) -> Iterator[None]:
        slot = self._gate.slot(cancel)
        try:
            timings.queued_s = slot.__enter__()
        except Cancelled as err:
            raise ApiError("execution", "context deadline exceeded" if err.deadline else "context canceled") from err
        try:
            yield
        finally:
            slot.__exit__(None, None, None)

    def _result(self, params: QueryParams, storage: Storage, budget: Budget, cancel: CancelToken) -> Result:
        options = replace(self._engine.options, lookback_ms=params.lookback_ms)
        measure = params.wants_stats or (params.wants_analysis and params.engine == "thanos")
        try:
            if params.is_range:
                return self._engine.range(
                    storage, params.query, params.first_ms, params.last_ms, params.step_ms,
                    budget=budget, cancel=cancel, options=options, measure=measure,
                )  # fmt: skip
            return self._engine.instant(
                storage, params.query, params.first_ms, budget=budget, cancel=cancel, options=options, measure=measure
            )
        except ParseError as err:
            raise bad_data(str(err)) from None
        except Cancelled as err:
            raise _given_up(params.engine, err) from err
        except StatusError as err:
            cancel.check()
            text = f"proxy Series(): {status_text(err)}"
            # compat: each engine wraps errors of storage in its own way (seen on the running binary)
            raise ApiError("execution", text if params.engine == "thanos" else f"expanding series: {text}") from err

    def _reply(
        self, params: QueryParams, result: Result, storage: Storage, timings: Timings, release: Callable[[], None]
    ) -> ApiReply:
        try:
            pieces = result_pieces(result, self._json_workers)
            warnings = [note_text(note) for note in result.notes]
            tail = self._told(params, result, storage, timings, warnings)
        except BaseException:
            release()
            raise
        head = f'{{"resultType":"{result.type}","result":'.encode()
        return streamed(head, pieces, f",{tail}}}".encode(), warnings, release)

    @staticmethod
    def _told(params: QueryParams, result: Result, storage: Storage, timings: Timings, warnings: list[str]) -> str:
        """What the answer tells of the evaluation."""
        measured, stats, analysis = result.measured, "", "{}"
        fanned: Sequence[Fanned] = getattr(storage, "fanned", ())
        if params.wants_analysis and params.engine == "prometheus":
            warnings.append(NOT_ANALYZABLE)
        elif params.wants_analysis and measured is not None:
            root = explained(measured)
            if root is None:
                warnings.append(NOT_ANALYZABLE_AS_THANOS)
            else:
                analysis = analysis_text(measured, root, fanned)
        if params.wants_stats and measured is not None:
            told = stats_text(measured, params.engine, timings, fanned, with_steps=params.wants_steps)
            stats = f'"stats":{told},'
        return f'{stats}"analysis":{analysis}'


def _refuse_explain(request: ApiRequest) -> None:
    if engine_of(request) != "thanos":
        raise bad_data("engine type must be 'thanos'")


def note_text(note: Note) -> str:
    """compat: without the place in the query, which Thanos does not render (pkg/api/query/v1.go)."""
    if note.at < 0:
        return note.text
    return f"PromQL {'info' if note.is_info else 'warning'}: {note.text}"


def status_text(error: StatusError) -> str:
    """An error of the proxy: with its code where the request was refused, as it is where a store failed."""
    return rpc_error_text(error.code, error.message) if error.code == "INVALID_ARGUMENT" else error.message


def _given_up(engine: str, error: Cancelled) -> ApiError:
    if engine == "thanos":
        return ApiError("execution", "context deadline exceeded" if error.deadline else "context canceled")
    if error.deadline:
        return ApiError("timeout", "query timed out in query execution")
    return ApiError("canceled", "query was canceled in query execution")


def guarded(handler: ApiHandler, log: Logger) -> ApiHandler:
    """A handler whose errors are answers."""

    def answer(request: ApiRequest, cancel: CancelToken) -> ApiReply:
        try:
            return handler(request, cancel)
        except ApiError as err:
            return failure(err.kind, err.text)
        except Cancelled as err:
            return failure("timeout" if err.deadline else "canceled", str(err))
        except AthanorError as err:
            return failure("execution", str(err))
        except Exception as err:
            log.error("handler failed", path=request.path, err=f"{type(err).__name__}: {err}")
            return failure("internal", f"unexpected error: {type(err).__name__}: {err}")

    return answer
