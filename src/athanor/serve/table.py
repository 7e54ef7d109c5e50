"""The table of commands and flags: package data that drives parsing, help, availability and the docs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from athanor.serve.values import GRAMMARS, Value, enum_parser

GLOBAL = "global"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag of one command. ``default`` is text as typed; a repeatable flag has a tuple of them."""

    command: str
    name: str
    parser: str
    help: str
    default: str | tuple[str, ...] = ""
    default_explicit: bool = False
    enum: tuple[str, ...] = ()
    repeatable: bool = False
    negatable: bool = False
    short: str = ""
    hidden: bool = False
    required: bool = False
    builtin: bool = False
    deprecated: bool = False
    no_effect: bool = False
    placeholder: str = ""
    pair: str = ""
    """The other flag of a file-or-content pair."""
    env_substitution: bool = False
    alias: str = ""
    """The flag that a spelling of an old release stands for."""
    legacy: bool = False
    replaced_by: str = ""

    @property
    def is_bool(self) -> bool:
        """A bool takes no value on the command line."""
        return self.parser == "bool"

    def parse(self, text: str) -> Value:
        """One value; raises ValueTextError with the original's text."""
        if self.enum:
            return enum_parser(self.enum)(text)
        return GRAMMARS[self.parser].parse(text)

    def show(self, value: Value) -> str:
        """The value as status pages print it."""
        return GRAMMARS[self.parser].show(value)

    def default_value(self) -> Value | tuple[Value, ...] | None:
        """What the flag holds when it is absent; None for a required flag and for one without a zero value."""
        if isinstance(self.default, tuple):
            return tuple(self.parse(text) for text in self.default)
        if self.default == "" and self.parser in ("address", "url", "time-or-duration"):
            return None
        if self.default == "" and self.parser not in ("string", "path", "content", "enum"):
            return GRAMMARS[self.parser].parse("0")
        return self.default if self.parser == "enum" else self.parse(self.default)


@dataclass(frozen=True, slots=True)
class Command:
    """One command or group of commands, by its full words."""

    name: str
    help: str
    runnable: bool
    flags: tuple[Flag, ...]
    """Own flags in the order of the help."""
    children: tuple[str, ...] = ()
    legacy_flags: tuple[Flag, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Every command by name; ``global`` holds what is known before a command."""

    commands: dict[str, Command]
    legacy_commands: dict[str, str] = field(default_factory=dict)
    """Old command words -> modern command."""
    version: str = ""
    """The release of the original that the table describes."""

    def lineage(self, command: str) -> list[Command]:
        """The global group, the parents and the command itself; their flags are known once it was read."""
        words = command.split()
        names = [" ".join(words[: i + 1]) for i in range(len(words))]
        return [self.commands[GLOBAL], *(self.commands[name] for name in names)]

    def flags_of(self, command: str, *, legacy: bool = False) -> list[Flag]:
        """All flags that the command takes, global ones first."""
        found = [flag for group in self.lineage(command) for flag in group.flags]
        if legacy:
            found += [flag for group in self.lineage(command) for flag in group.legacy_flags]
        return found


def _flag(raw: dict[str, Any], *, legacy: bool) -> Flag:
    default = raw.get("default", [] if raw.get("repeatable") else "")
    return Flag(
        command=raw["command"],
        name=raw["name"],
        parser=raw["parser"],
        help=raw["help"],
        default=tuple(default) if isinstance(default, list) else default,
        default_explicit=raw.get("default_explicit", False),
        enum=tuple(raw.get("enum", ())),
        repeatable=raw.get("repeatable", False),
        negatable=raw.get("negatable", False),
        short=raw.get("short", ""),
        hidden=raw.get("hidden", False),
        required=raw.get("required", False),
        builtin=raw.get("builtin", False),
        deprecated=raw.get("deprecated", False),
        no_effect=raw.get("no_effect", False),
        placeholder=raw.get("placeholder", ""),
        pair=raw.get("mutually_exclusive_with", ""),
        env_substitution=raw.get("env_substitution", False),
        alias=raw.get("alias", ""),
        legacy=legacy,
        replaced_by=raw.get("replaced_by", ""),
    )


OWN_COMMANDS = (
    {"name": "kernels", "help": "Compiled kernels of this installation.", "runnable": False},
    {"name": "kernels warm", "help": "Compile every kernel that is not compiled yet, and remove stale ones."},
)
"""Commands that the original does not have."""


@cache
def load_table() -> Table:
    """The table, read once from the package data."""
    raw = json.loads((files(__package__) / "flag_table" / "flags.json").read_text(encoding="utf-8"))
    by_command: dict[str, list[Flag]] = {}
    legacy: dict[str, list[Flag]] = {}
    for item in raw["flags"]:
        by_command.setdefault(item["command"], []).append(_flag(item, legacy=False))
    for item in raw["legacy_flags"]:
        legacy.setdefault(item["command"], []).append(_flag(item, legacy=True))
    listed = [*raw["commands"], *OWN_COMMANDS]
    names = [item["name"] for item in listed]
    commands = {
        item["name"]: Command(
            name=item["name"],
            help=item["help"],
            runnable=item.get("runnable", True),
            flags=tuple(by_command.get(item["name"], ())),
            children=tuple(n for n in names if n.rpartition(" ")[0] == item["name"]),
            legacy_flags=tuple(legacy.get(item["name"], ())),
        )
        for item in listed
    }
    commands[GLOBAL] = Command(
        name=GLOBAL,
        help="Athanor: highly available Prometheus with a global view and unlimited retention.",
        runnable=False,
        flags=tuple(by_command[GLOBAL]),
        children=tuple(n for n in names if " " not in n),
        legacy_flags=tuple(legacy.get(GLOBAL, ())),
    )
    old_words = {item["command"]: item["modern_equivalent"] for item in raw["legacy_commands"]}
    return Table(commands, old_words, raw["thanos_version"])
