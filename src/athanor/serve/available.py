"""Which commands and flags work in this version.

A flag works when a field of its role's configuration names it (see ``config``). Any other flag of the original is
known, parsed and checked, and then refused unless it is given its default value, so that nothing is accepted silently.
"""

from __future__ import annotations

from functools import cache

from athanor.model.errors import NotAvailableError
from athanor.serve.config import GlobalConfig, flag_names
from athanor.serve.config_query import QueryConfig
from athanor.serve.config_sidecar import SidecarConfig
from athanor.serve.config_store import StoreConfig
from athanor.serve.flags import HELP, HELP_LONG, VERSION, Parsed
from athanor.serve.table import Flag, load_table

CONFIGS: dict[str, type[GlobalConfig]] = {
    "query": QueryConfig,
    "store": StoreConfig,
    "sidecar": SidecarConfig,
    "kernels warm": GlobalConfig,
}
"""The commands that work, each with its configuration."""

BUILT_IN = frozenset({HELP, HELP_LONG, VERSION})


@cache
def working_flags(command: str) -> frozenset[str]:
    """Names of the flags that do what they say; empty for a command that does not work yet. "" is no command."""
    config = CONFIGS.get(command) if command else GlobalConfig
    return frozenset() if config is None else flag_names(config) | BUILT_IN


def flag_works(command: str, flag: Flag) -> bool:
    """Whether the flag may be given any value."""
    return flag.no_effect or flag.name in working_flags(command) or flag.alias in working_flags(command)


def require_available(parsed: Parsed) -> None:
    """Raise NotAvailableError for the command, or for the first flag given whose behaviour is not there."""
    if parsed.command and parsed.command not in CONFIGS:
        raise NotAvailableError(parsed.command)
    table = load_table()
    for name, flag in parsed.given.items():
        if flag_works(parsed.command, flag):
            continue
        shown = flag.alias or flag.name
        default = next(
            (f.default_value() for f in table.flags_of(parsed.command) if f.name == shown), flag.default_value()
        )
        if parsed.values[shown] != default:
            raise NotAvailableError(f"--{name}")
