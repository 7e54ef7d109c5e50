"""The StoreAPI of a component that has no data of its own: every call goes through the proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from athanor.model.budget import Budget
from athanor.model.rpc import Call
from athanor.storeapi.columns import frame_writer
from athanor.storeapi.frames import warning_frame
from athanor.storeapi.limits import RequestLimits
from athanor.storeapi.proxy import Proxy, ProxyCall
from athanor.storeapi.rebatch import Rebatch
from athanor.storeapi.server import tenant_of


class ProxyServer:
    """A ``StoreServer`` over a proxy.

    new_budget: the budget of one call, released when the call ends; new_limits: its request limits.
    """

    def __init__(
        self,
        proxy: Proxy,
        new_budget: Callable[[], Budget],
        new_limits: Callable[[], RequestLimits] = lambda: RequestLimits(0, 0),
    ) -> None:
        self._proxy = proxy
        self._new_budget = new_budget
        self._new_limits = new_limits

    def series(self, request: Any, call: Call) -> Iterator[bytes]:
        """Merged series in frames of ``response_batch_size``; warnings come as soon as they are known."""
        warnings: list[str] = []
        limits = self._new_limits()
        proxied = ProxyCall(call.cancel, warnings.append, tenant_of(call), keep_empty=True)
        with self._new_budget() as budget:
            waiting = Rebatch(request.response_batch_size, budget, frame_writer(call.metadata))
            for batch in self._proxy.series(request, budget, proxied):
                if warnings:
                    yield from waiting.flush()
                    yield from map(warning_frame, warnings)
                    warnings.clear()
                limits.sending(len(batch), len(batch.chunks))
                yield from waiting.add(batch)
            yield from waiting.flush()
            yield from map(warning_frame, warnings)

    def label_names(self, request: Any, call: Call) -> Any:
        """Names of all stores."""
        return self._proxy.label_names(request, self._call(call))

    def label_values(self, request: Any, call: Call) -> Any:
        """Values of all stores."""
        return self._proxy.label_values(request, self._call(call))

    def _call(self, call: Call) -> ProxyCall:
        return ProxyCall(call.cancel, lambda text: None, tenant_of(call))
