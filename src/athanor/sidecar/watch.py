"""Keeping the sidecar's knowledge of its Prometheus fresh: the wait at the start, the heartbeat afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from athanor.model.cancel import CancelToken
from athanor.model.errors import AthanorError, OperatorError
from athanor.model.log import Logger
from athanor.model.metrics import Gauge
from athanor.sidecar.prometheus import Prometheus
from athanor.sidecar.state import PrometheusFacts, SidecarState

NO_LABELS = (
    "no external labels configured on Prometheus server, uniquely identifying external labels must be configured; see "
    "https://thanos.io/tip/thanos/storage.md#external-labels for details."
)


class Readiness(Protocol):
    """Who is told."""

    def ready(self) -> None: ...

    def not_ready(self, reason: object = None) -> None: ...


class PrometheusWatcher:
    """Reads version, oldest time and external labels; tells state, gauge and probes."""

    def __init__(
        self,
        prometheus: Prometheus,
        state: SidecarState,
        readiness: Readiness,
        up: Gauge,
        *,
        interval_ms: int,
        timeout_ms: int,
        log: Logger,
    ) -> None:
        self._prometheus = prometheus
        self._state = state
        self._readiness = readiness
        self._up = up
        self._interval_s = interval_ms / 1000
        self._timeout_s = timeout_ms / 1000
        self._log = log

    def wait_until_known(
        self, cancel: CancelToken, validate: Callable[[], None] | None = None, give_up_after_ms: int | None = None
    ) -> None:
        """Tries for ever, one step after the other; validate: a check before everything else.

        Raises OperatorError where Prometheus has no external labels, or, when give_up_after_ms is set (only with a
        bucket), where none were found in that time.
        """
        give_up_at = None if give_up_after_ms is None else time.monotonic() + give_up_after_ms / 1000
        if validate is not None:
            self._retry(validate, "failed to validate prometheus flags", cancel, give_up_at, give_up_after_ms)
        version: list[str] = []
        self._retry(
            lambda: version.append(self._prometheus.version(self._timeout_s)),
            "failed to get prometheus version",
            cancel,
            give_up_at,
            give_up_after_ms,
        )
        self._log.info("successfully loaded prometheus version")
        self._retry(
            lambda: self._read(version[-1]),
            "failed to fetch prometheus external labels or timestamps. Retrying.",
            cancel,
            give_up_at,
            give_up_after_ms,
        )
        if not self._state.external_labels:
            raise OperatorError(NO_LABELS)
        labels = ", ".join(f'{name}="{value}"' for name, value in self._state.external_labels)
        self._log.info("successfully loaded prometheus external labels", external_labels=f"{{{labels}}}")
        self._tell_up()

    def run(self, cancel: CancelToken) -> None:
        """The heartbeat, until cancelled."""
        while not cancel.wait(self._interval_s):
            try:
                self._read(self._state.facts.version)
            except AthanorError as error:
                self._log.warn("heartbeat failed", err=error)
                self._state.is_up = False
                self._up.set(0)
                self._readiness.not_ready(error)
            else:
                self._tell_up()

    def _read(self, version: str) -> None:
        lowest_ms = self._prometheus.lowest_timestamp_ms(self._timeout_s)
        labels = self._prometheus.external_labels(self._timeout_s)
        self._state.facts = PrometheusFacts(labels, lowest_ms, version)

    def _tell_up(self) -> None:
        self._state.is_up = True
        self._up.set(1)
        self._readiness.ready()

    def _retry(
        self,
        attempt: Callable[[], None],
        failure: str,
        cancel: CancelToken,
        give_up_at: float | None,
        give_up_after_ms: int | None,
    ) -> None:
        while True:
            try:
                attempt()
                return
            except AthanorError as error:
                self._log.warn(failure, err=error)
            pause_s = self._interval_s
            if give_up_at is not None:
                left_s = give_up_at - time.monotonic()
                if left_s <= 0:
                    raise OperatorError(
                        f"aborting as no external labels found after waiting {_shown(give_up_after_ms or 0)}: not "
                        "uploading as no external labels are configured yet - is Prometheus healthy/reachable?"
                    )
                pause_s = min(pause_s, left_s)
            if cancel.wait(pause_s):
                cancel.check()


def _shown(duration_ms: int) -> str:
    """As Go prints a duration of whole seconds."""
    minutes, seconds = divmod(duration_ms / 1000, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{seconds:g}s"
    text = f"{minutes}m{text}" if minutes or hours else text
    return f"{hours}h{text}" if hours else text
