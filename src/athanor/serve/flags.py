"""The parser of the command line: words to a command and its flag values, with the original's two error classes.

A *token error* (unknown flag or command, missing argument, stray word) is one line on stderr and exit code 1. A *value
error* (bad value, repeated flag, missing required flag) comes after all words were read: usage, the error, exit code 2.

Words:   --name=value   --name value   --bool   --no-bool   -s   -s value   -svalue   -abc   --   @file
A flag is known only after the command owning it was read; a value that begins with a minus needs the equals sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from athanor.serve.durations import ValueTextError
from athanor.serve.table import GLOBAL, Command, Flag, Table
from athanor.serve.values import Value

HELP, HELP_LONG, VERSION = "help", "help-long", "version"


class TokenError(Exception):
    """The words make no sense: one line, exit code 1."""


class FlagValueError(Exception):
    """The words make sense, a value does not: usage of ``command``, the text, exit code 2."""

    def __init__(self, command: str, text: str) -> None:
        super().__init__(text)
        self.command = command


@dataclass(frozen=True, slots=True)
class Given:
    """One flag as it stood on the command line; ``text`` is None for a bool, then ``on`` counts."""

    flag: Flag
    text: str | None
    on: bool = True


@dataclass(slots=True)
class Words:
    """What the command line says before any value was looked at."""

    command: str = ""
    given: list[Given] = field(default_factory=list)
    help_for: str | None = None
    """The command whose usage is asked for; "" for the whole."""
    long_help: bool = False
    version: bool = False


@dataclass(frozen=True, slots=True)
class Parsed:
    """The values of every flag of the command: defaults overlaid by what was given."""

    command: str
    values: dict[str, Value | tuple[Value, ...] | None]
    given: dict[str, Flag]
    """Flags that were given, by the name that was typed (old spellings keep theirs)."""


def read_words(argv: Sequence[str], table: Table) -> Words:
    """Split the arguments (without the program's name) into command and flags."""
    return _Reader(argv, table).read()


class _Reader:
    def __init__(self, argv: Sequence[str], table: Table) -> None:
        self.queue = list(reversed(argv))
        self.table = table
        self.words = Words()
        self.only_positional = False
        self.legacy_prefix = ""

    def read(self) -> Words:
        words = self.words
        while self.queue and not words.version:
            word = self._next()
            if word is None:
                continue
            if self.only_positional or not word.startswith("-") or word == "-":
                self._command_word(word)
            elif word == "--":
                self.only_positional = True
            elif word.startswith("--"):
                self._long(word[2:])
            else:
                self._short(word[1:])
        if words.command == HELP and words.help_for is None:
            words.help_for = ""
        return words

    def _next(self) -> str | None:
        word = self.queue.pop()
        if word.startswith("@") and not self.only_positional:
            self._expand(word[1:])
            return None
        return word

    def _expand(self, path: str) -> None:
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines()
        except OSError as err:
            reason = (err.strerror or str(err)).lower()
            raise TokenError(f'failed to open arguments file "{path}": open {path}: {reason}') from err
        self.queue.extend(reversed([line for line in lines if line.strip() and not line.startswith("#")]))

    def _current(self) -> Command:
        return self.table.commands[self.words.command or GLOBAL]

    def _command_word(self, word: str) -> None:
        words = self.words
        if words.command == HELP:
            base = words.help_for or ""
            name = f"{base} {word}".strip()
            if name not in self.table.commands or name == GLOBAL:
                if base and not self.table.commands[base].children:
                    raise TokenError(f"unexpected {word}")
                raise TokenError(f'expected command but got "{word}"')
            words.help_for = name
            return
        current = self._current()
        name = f"{words.command} {word}".strip()
        if name in current.children:
            words.command = name
            return
        if self._legacy_command(word):
            return
        if current.children:
            raise TokenError(f'expected command but got "{word}"')
        raise TokenError(f"unexpected {word}")

    def _legacy_command(self, word: str) -> bool:
        """Old command words: ``bucket ls``, ``downsample``, ``check rules FILE...`` become their modern forms."""
        words = self.words
        if self.legacy_prefix == "check rules" and words.command == "tools rules-check":
            self.queue.append(f"--rules={word}")
            return True
        if words.command not in ("", "tools") or (words.command and self.legacy_prefix != "check"):
            return False
        old = f"{self.legacy_prefix} {word}".strip()
        if old not in self.table.legacy_commands:
            return False
        words.command, self.legacy_prefix = self.table.legacy_commands[old], old
        return True

    def _find(self, name: str) -> Flag | None:
        for group in reversed(self.table.lineage(self.words.command)):
            for flag in (*group.flags, *group.legacy_flags):
                if flag.name == name:
                    return flag
        return None

    def _long(self, text: str) -> None:
        name, equals, value = text.partition("=")
        flag, on = self._find(name), True
        if flag is None and name.startswith("no-"):
            flag, on = self._find(name[3:]), False
            if flag is not None and not flag.is_bool:
                flag = None
        if flag is None:
            raise TokenError(f"unknown long flag '--{name}'")
        if flag.is_bool:
            self._bool(flag, on)
            if equals:
                # compat: the value is pushed back and read as a positional argument (kingpin parser.go)
                self._pushed_back(value)
            return
        if not equals:
            value = self._argument(f"--{name}")
        self.words.given.append(Given(flag, value))

    def _pushed_back(self, value: str) -> None:
        if self._current().children and self.words.command != HELP:
            raise TokenError(f'expected command but got "{value}"')
        raise TokenError(f"unexpected {value}")

    def _bool(self, flag: Flag, on: bool) -> None:
        words = self.words
        words.given.append(Given(flag, None, on))
        if flag.name == VERSION and on:
            words.version = True
        elif flag.name in (HELP, HELP_LONG) and on:
            words.help_for = words.help_for or ""
            words.long_help = words.long_help or flag.name == HELP_LONG

    def _short(self, letters: str) -> None:
        while letters:
            letter, letters = letters[0], letters[1:]
            flag = next((f for f in self.table.flags_of(self.words.command) if f.short == letter), None)
            if flag is None:
                raise TokenError(f"unknown short flag '-{letter}'")
            if flag.is_bool:
                self._bool(flag, True)
                continue
            value = letters or self._argument(f"-{letter}")
            self.words.given.append(Given(flag, value))
            return

    def _argument(self, shown: str) -> str:
        while self.queue:
            if self.queue[-1].startswith("-"):
                break
            word = self._next()
            if word is not None:
                return word
        raise TokenError(f"expected argument for flag '{shown}'")


def evaluate(words: Words, table: Table) -> Parsed:
    """Values of every flag of the command that was read; raises FlagValueError on the first one that is wrong."""
    command = words.command
    typed: dict[str, list[Value]] = {}
    given: dict[str, Flag] = {}
    for item in words.given:
        flag = _modern(item.flag, command, table)
        if item.flag.name in given and not flag.repeatable:
            raise FlagValueError(command, f"flag '{item.flag.name}' cannot be repeated")
        given[item.flag.name] = item.flag
        try:
            value = item.on if item.text is None else flag.parse(item.text)
        except ValueTextError as err:
            raise FlagValueError(command, str(err)) from err
        typed.setdefault(flag.name, []).append(value)
    if command and table.commands[command].children:
        raise FlagValueError(command, f"must select a subcommand of '{command}'")
    flags = table.flags_of(command, legacy=True)
    missing = [f"'--{flag.name}'" for flag in flags if flag.required and flag.name not in typed]
    if missing:
        raise FlagValueError(command, f"required flag(s) {', '.join(missing)} not provided")
    values: dict[str, Value | tuple[Value, ...] | None] = {}
    for flag in flags:
        if flag.alias:
            continue
        got = typed.get(flag.name)
        if got is None:
            values.setdefault(flag.name, flag.default_value())
        else:
            values[flag.name] = tuple(got) if flag.repeatable else got[-1]
    return Parsed(command, values, given)


def _modern(flag: Flag, command: str, table: Table) -> Flag:
    """The flag that an old spelling stands for; the flag itself when it has no modern form."""
    if not flag.alias:
        return flag
    return next(f for f in table.flags_of(command) if f.name == flag.alias)
