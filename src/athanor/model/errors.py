"""The error tree: one root, three families, each with its own consequence.

    AthanorError
      DataError         bytes are wrong: never retried, the block or frame is quarantined
      OperatorError     flags, files, permissions: exit code 1, no traceback
      TransientError    network, throttling: retried with back-off

Programmer mistakes stay ``AssertionError("BUG: ...")``.
"""

from __future__ import annotations


class AthanorError(Exception):
    """Root of every error that Athanor raises on purpose."""


class DataError(AthanorError):
    """Bytes from a file or a peer that break their format; the message names the place and the values."""


class OperatorError(AthanorError):
    """A mistake in flags, configuration, files or permissions; the message names the next step."""


class TransientError(AthanorError):
    """A failure that may pass: network, throttling, a peer that restarts."""


class NotAvailableError(AthanorError):
    """A feature of the original that this version does not have; the text is part of the contract."""

    def __init__(self, name: str) -> None:
        super().__init__(f"not available in this version: {name}")
        self.name = name
