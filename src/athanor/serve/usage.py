"""The text of ``--help``: the usage line, the flags in two columns, the commands."""

from __future__ import annotations

import os
import shutil
import textwrap

from athanor.serve.table import GLOBAL, Command, Flag, Table

LEFT_MOST = 30  # columns; a longer name puts its help on the next line


def help_width() -> int:
    """COLUMNS, else the terminal's width, else 80."""
    text = os.environ.get("COLUMNS", "")
    if text.isdecimal() and int(text) > 0:
        return int(text)
    return shutil.get_terminal_size((80, 24)).columns


def shown_value(flag: Flag) -> str:
    """What stands after the equals sign of a flag."""
    if flag.placeholder:
        return flag.placeholder
    defaults = flag.default if isinstance(flag.default, tuple) else (flag.default,)
    if not flag.default_explicit or not defaults:
        return flag.name.upper()
    first = defaults[0]
    if flag.parser == "string" and not flag.repeatable:
        first = f'"{first}"'
    return first + ("..." if len(defaults) > 1 else "")


def flag_column(flag: Flag) -> str:
    """The left column of one flag."""
    text = f"-{flag.short}, " if flag.short else "    "
    text += f"--[no-]{flag.name}" if flag.is_bool else f"--{flag.name}={shown_value(flag)}"
    return text + (" ..." if flag.repeatable else "")


def usage_line(program: str, command: str, table: Table) -> str:
    """The first line of the help."""
    own = table.commands[command or GLOBAL]
    visible = [flag for flag in own.flags if not flag.hidden]
    parts = ["usage:", program, *command.split()]
    parts += [f"--{flag.name}={shown_value(flag)}" for flag in visible if flag.required]
    if any(not flag.required for flag in visible):
        parts.append("[<flags>]")
    if own.children:
        parts += ["<command>", "[<args>", "...]"]
    return " ".join(parts)


def _two_columns(rows: list[tuple[str, str]], width: int) -> list[str]:
    left = min(max((len(name) for name, _ in rows), default=0), LEFT_MOST)
    right = max(width - left - 4, 20)
    lines = []
    for name, text in rows:
        wrapped = textwrap.wrap(text, right) or [""]
        if len(name) > LEFT_MOST:
            lines.append(f"  {name}".rstrip())
        else:
            lines.append(f"  {name:{left}}  {wrapped.pop(0)}".rstrip())
        lines += [f"{' ' * (left + 4)}{line}".rstrip() for line in wrapped]
    return lines


def leaves(table: Table, under: str) -> list[Command]:
    """Commands without children below a command, in the order of the help."""
    found: list[Command] = []
    for name in table.commands[under or GLOBAL].children:
        command = table.commands[name]
        found += leaves(table, name) if command.children else [command]
    return found


def usage(program: str, command: str, table: Table, *, width: int | None = None) -> str:
    """The whole help of one command; ends with a blank line."""
    width = width or help_width()
    own = table.commands[command or GLOBAL]
    flags = [flag for flag in table.flags_of(command) if not flag.hidden]
    lines = [*textwrap.wrap(usage_line(program, command, table), width, subsequent_indent=" " * 7), ""]
    lines += [*textwrap.wrap(own.help, width), "", "", "Flags:"]
    lines += [*_two_columns([(flag_column(flag), flag.help) for flag in flags], width), ""]
    if own.children:
        lines.append("Commands:" if not command else "Subcommands:")
        for leaf in leaves(table, command):
            lines.append(usage_line("", leaf.name, table).removeprefix("usage: ").strip())
            lines += [*textwrap.wrap(leaf.help, width - 4, initial_indent="    ", subsequent_indent="    "), ""]
    return "\n".join(lines) + "\n"


def long_usage(program: str, table: Table, *, width: int | None = None) -> str:
    """The help of every command, one after the other."""
    width = width or help_width()
    parts = [usage(program, "", table, width=width)]
    parts += [usage(program, leaf.name, table, width=width) for leaf in leaves(table, "") if leaf.name != "help"]
    return "\n".join(parts)
