"""The ``athanor`` command: words to a role, a role to a process.

What a role gets. ``athanor.serve.run_<role>.run(config, runtime)`` sets the role up: it opens what it needs, adds its
parts to ``runtime.group`` in starting order and returns. Nothing of a role runs before that; ``main`` then starts the
group and waits. An error while setting up is logged with "preparing <role> command failed", one that ends the group
with "<role> command failed"; both exit with 1. Example:

    def run(config: StoreConfig, runtime: Runtime) -> None:
        http = HttpServer(runtime, address=config.http_address, grace_ms=config.http_grace_period_ms, n_threads=8)
        runtime.group.add_loop("block sync", lambda cancel: sync_blocks(gateway, cancel))
        runtime.group.add("http", http.start, http.stop)       # added last: stopped first
        runtime.log.info("starting store node")

``runtime`` (``process.Runtime``) holds log, metrics registry, probes, process group and the values of all flags.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from athanor.serve.flags import HELP, FlagValueError, Parsed, TokenError, Words, evaluate, read_words
from athanor.serve.table import Table, load_table

if TYPE_CHECKING:
    from athanor.model.log import Logger
    from athanor.serve.config import GlobalConfig

ROLES = {
    "query": "athanor.serve.run_query",
    "store": "athanor.serve.run_store",
    "sidecar": "athanor.serve.run_sidecar",
}
REDACTED = frozenset({"objstore.config", "objstore.config-file"})
EXIT_OK, EXIT_FAILED, EXIT_VALUE, EXIT_INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point; argv includes the program's name, None means this process's own. Returns the exit code.

    With its own arguments the process ends here, without waiting for threads that outlived their grace period.
    """
    if argv is not None:
        return run_command(list(argv))
    try:
        code = run_command(sys.argv)
    except KeyboardInterrupt:
        code = EXIT_INTERRUPTED
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def run_command(argv: list[str]) -> int:
    """One command line to its exit code."""
    program = os.path.basename(argv[0])
    table = load_table()
    try:
        words = read_words(argv[1:], table)
    except TokenError as err:
        return _fail(f"{program}: error: {err}", EXIT_FAILED)
    if words.version:
        return _fail(version_text(program), EXIT_OK)
    if words.help_for is not None:
        return _help(program, words, table)
    try:
        parsed = evaluate(words, table)
    except FlagValueError as err:
        from athanor.serve.usage import usage

        sys.stderr.write(usage(program, err.command, table))
        return _fail(f"error parsing commandline arguments: [{' '.join(argv)}]: {err}", EXIT_VALUE)
    return _run(program, argv, parsed, table)


def _fail(text: str, code: int) -> int:
    sys.stderr.write(text + "\n")
    return code


def _help(program: str, words: Words, table: Table) -> int:
    from athanor.serve.usage import long_usage, usage

    if words.long_help:
        sys.stdout.write(long_usage(program, table))
        return EXIT_OK
    command = (words.help_for or "") if words.command == HELP else words.command
    sys.stderr.write(usage(program, command, table))
    return EXIT_OK


def version_text(program: str) -> str:
    """What ``--version`` prints."""
    import platform

    from athanor import __version__

    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return "\n".join(
        [
            f"{program}, version {__version__} (branch: , revision: unknown)",
            "  build user:       ",
            "  build date:       ",
            f"  go version:       python{platform.python_version()}",
            f"  platform:         {sys.platform}/{machine}",
            "  tags:             unknown",
        ]
    )


def _run(program: str, argv: Sequence[str], parsed: Parsed, table: Table) -> int:
    from athanor.model.errors import NotAvailableError, OperatorError
    from athanor.serve.available import CONFIGS, require_available
    from athanor.serve.config import GlobalConfig, build

    try:
        require_available(parsed)
    except NotAvailableError as err:
        return _fail(f"{program}: error: {err}", EXIT_FAILED)
    if not parsed.command:
        return _help(program, Words(), table)
    common = build(GlobalConfig, parsed)
    try:
        log = make_logger(common)
    except OperatorError as err:
        return _fail(f"failed to create logger: {err}", EXIT_FAILED)
    if not 0 < common.auto_gomemlimit_ratio <= 1:
        log.error(
            "failed to configure Go runtime memory limits",
            err="--auto-gomemlimit.ratio must be greater than 0 and less than or equal to 1.",
        )
        return EXIT_FAILED
    _warn_of_old_spellings(log, parsed)
    if parsed.command == "kernels warm":
        from athanor.kernel import warm

        return warm.main([])
    return _run_role(argv, parsed, table, CONFIGS[parsed.command], log)


def _run_role(argv: Sequence[str], parsed: Parsed, table: Table, config_class: type[GlobalConfig], log: Logger) -> int:
    from athanor.kernel.release import limit_heaps, release_loading_memory
    from athanor.model.errors import AthanorError, OperatorError
    from athanor.serve.config import build
    from athanor.serve.process import make_runtime

    limit_heaps()
    runtime = make_runtime(
        parsed.command, log, flags=parsed.values, shown_flags=shown_flags(parsed, table), argv=tuple(argv)
    )
    stage = f"preparing {parsed.command} command failed"
    try:
        config = build(config_class, parsed)
        _warm_kernels(parsed.command)
        role = import_module(ROLES[parsed.command])
        role.run(config, runtime)
        release_loading_memory()
        stage = f"{parsed.command} command failed"
        runtime.group.run()
    except AthanorError as err:
        return _log_failure(log, err, stage)
    except OSError as err:
        # files, sockets and permissions are the operator's to mend: no traceback
        return _log_failure(log, OperatorError(str(err)), stage)
    return EXIT_OK


def _log_failure(log: Logger, error: BaseException, stage: str) -> int:
    from athanor.serve.process import error_chain

    log.error(err="\n".join([*error_chain(error), stage]))
    return EXIT_FAILED


def make_logger(config: GlobalConfig) -> Logger:
    """The logger that the global flags ask for; raises OperatorError where journald is asked for and absent."""
    from athanor.model.log import FORMATS, Logger

    if config.log_format == "journald":
        from athanor.serve.journald import format_journal, journal_writer

        return Logger(level=config.log_level, fmt=format_journal, emit=journal_writer(), name=config.debug_name)
    return Logger(level=config.log_level, fmt=FORMATS[config.log_format], name=config.debug_name)


def _warn_of_old_spellings(log: Logger, parsed: Parsed) -> None:
    for name, flag in parsed.given.items():
        if flag.alias:
            log.warn("flag of an old release used", flag=f"--{name}", use=f"--{flag.alias}")
        elif flag.no_effect:
            log.warn("flag has no effect", flag=f"--{name}")


def shown_flags(parsed: Parsed, table: Table) -> dict[str, str]:
    """The command's own flags as text, by name, with secrets replaced."""
    shown = {}
    for flag in table.commands[parsed.command].flags:
        value = parsed.values[flag.name]
        if flag.name in REDACTED:
            shown[flag.name] = "<REDACTED>"
        elif isinstance(value, tuple):
            shown[flag.name] = ",".join(flag.show(item) for item in value)
        else:
            shown[flag.name] = "" if value is None else flag.show(value)
    return dict(sorted(shown.items()))


def _warm_kernels(role: str) -> None:
    """Compile what is missing in a child, before the role loads its kernels: a process that compiled stays bigger."""
    from athanor.kernel.compile import forbid_compiling
    from athanor.kernel.warm import ensure_warm, kernel_modules

    others = set(ROLES) - {role} | (set() if role == "query" else {"promql"})
    ensure_warm(name for name in kernel_modules() if name.split(".")[1] not in others)
    forbid_compiling()


if __name__ == "__main__":
    sys.exit(main())
