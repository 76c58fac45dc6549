"""The command line: the only package that prints. Each command family is a module of
its own, imported only when one of its commands is called.
"""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper

from runner.system import early_signals, shortage

TYPE_CHECKING = False  # the module `typing` would take a third of the time of `--help`
if TYPE_CHECKING:
    from typing import NoReturn
_WITHOUT_HASHES = (["log"], ["monitor"], ["status"])
"""Commands that only look. They hash nothing, and the import would be a tenth of their time."""


def main() -> None:
    """Run the command line.

    Any failure that a user, a file or the system can cause ends with one sentence on
    stderr and an exit code, never with a traceback.
    """
    try:
        _main()
    except Exception as error:
        if shortage.is_shortage(error):
            shortage.end()
        raise


def _main() -> None:
    """Run click, and turn known errors into a message and an exit code.

    Signals are noted before anything slow is imported, so that an early SIGTERM is not
    lost.
    """
    # The group has no options, so the command is the first argument.
    is_start = sys.argv[1:2] == ["start"]
    if is_start or sys.argv[1:2] == ["work"]:
        early_signals.note()
    _open_standard_streams()
    if sys.argv[1:] in (["--help"], ["-h"]) and _is_help_written():
        return
    from runner.system.stalls import WATCH

    WATCH.begin(is_start=is_start)
    if sys.argv[1:2] not in _WITHOUT_HASHES:
        _import_hashes()
    from runner.system.garbage_collection import objects_frozen

    # Otherwise the garbage collector walks the imported modules: a tenth of the time that
    # a short command takes.
    with objects_frozen():
        from runner.cli.group import cli
        from runner.errors import RunnerError

    if os.environ.get("_RUNNER_COMPLETE", "").startswith("bash"):
        from runner.cli import bash_completion  # noqa: F401 - click finds it by its name

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


def _import_hashes() -> None:
    """Import what hashlib needs.

    If too little memory is left for these, hashlib prints a traceback per algorithm.
    Imported here, they raise the ImportError that `main` knows.
    """
    from contextlib import suppress

    with suppress(ModuleNotFoundError):  # a Python without OpenSSL
        import _blake2  # noqa: F401
        import _hashlib  # noqa: F401


def _fail(text: str, exit_code: int) -> NoReturn:
    from contextlib import suppress

    from runner.cli.output.tables import echo_error

    with suppress(OSError):  # stderr itself may be what fails
        echo_error(text)
    sys.exit(exit_code)


def _open_standard_streams() -> None:
    """Open the standard streams that the caller has closed, and make every text
    printable.

    Without this, the next file that the program opens would take the free descriptor
    and become standard output. Characters that the encoding lacks are printed as
    escapes.
    """
    sys.stdin = sys.stdin or open(os.devnull)  # noqa: SIM115, PTH123
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115, PTH123
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _drop_output() -> None:
    """Discard unwritten output. Otherwise Python flushes again at exit, fails, and
    prints an error.
    """
    from contextlib import suppress

    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _is_help_written() -> bool:
    """Print the stored help text if it is what click would print; return whether it
    was.

    Importing click alone takes four times as long. A narrow terminal needs other line
    breaks, and a failed write needs an error message: both are left to click.
    """
    from runner.cli.documentation.help_text import HELP

    try:
        return _columns() >= 80 and os.write(1, HELP.encode()) > 0
    except OSError:
        return False


def _columns() -> int:
    """Return the terminal's width as `shutil.get_terminal_size` finds it.

    The import of `shutil` takes longer than the rest of `--help`.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isdecimal() and int(given):
        return int(given)
    try:
        return os.get_terminal_size(1).columns or 80
    except OSError:  # not a terminal
        return 80
