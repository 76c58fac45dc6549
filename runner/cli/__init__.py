"""The command line: the only place that prints. Each family of commands is a module,
imported when it is called.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import NoReturn

from runner.system import early_signals, shortage


def main() -> None:
    """Run the command line.

    Whatever a user, a file or the system can cause ends in a sentence on stderr and an
    exit code, never a traceback.
    """
    try:
        _main()
    except Exception as error:
        if shortage.is_shortage(error):
            shortage.end()
        raise


def _main() -> None:
    if sys.argv[1:2] == ["start"]:  # the group has no options that could stand before it
        early_signals.note()
    _open_standard_streams()
    if sys.argv[1:] in (["--help"], ["-h"]) and _is_help_written():
        return
    from runner.system.garbage_collection import lasting_heap

    # Of a short command it would be a tenth that the collector walks modules.
    with lasting_heap():
        from runner.cli.group import cli
        from runner.errors import RunnerError

    try:
        try:
            cli.main(prog_name="runner", standalone_mode=True)
        finally:
            sys.stdout.flush()
    except RunnerError as error:
        _fail(str(error), error.exit_code)
    except OSError as error:
        if shortage.is_shortage(error):
            raise
        from runner.cli.os_errors import os_error_text

        _drop_output()
        _fail(os_error_text(error), 1)


def _fail(text: str, exit_code: int) -> NoReturn:
    from runner.cli.output.tables import echo_error

    with suppress(OSError):  # stderr itself may be what fails
        echo_error(text)
    sys.exit(exit_code)


def _open_standard_streams() -> None:
    """Give the program the standard streams it was started without, and let every text
    be printable.

    Otherwise the next file that is opened would become standard output. A name that is
    not UTF-8 is shown by escapes.
    """
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115, PTH123
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Forget what could not be written: Python would try once more at its exit, and complain."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _is_help_written() -> bool:
    """Write what click would, whose import alone takes four times as long; not where it
    would wrap the lines elsewhere or have to tell why nothing can be written.
    """
    from shutil import get_terminal_size

    from runner.cli.help_text import HELP

    try:
        return get_terminal_size().columns >= 80 and os.write(1, HELP.encode()) > 0
    except OSError:
        return False
