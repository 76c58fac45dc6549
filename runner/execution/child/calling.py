"""A program of our own, run as a file: it calls a Python function for an execution.

Its arguments are the descriptor of the report and the callable,
package.module:function. It runs in the process's directory, in whose Python our own
package need not exist, or may be another's: so it imports nothing of ours.
"""

from __future__ import annotations

import importlib
import inspect
import json
import operator
import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

_LONGEST = 8192  # of what is told; it is shown shorter still
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_BEFORE_THEIRS = (
    __file__,
    "<frozen importlib",
    importlib.__file__,
    str(Path(os.__file__).with_name("asyncio")),
)


class _Refused(Exception):  # noqa: N818  (it never leaves this file)
    """Why a callable cannot be called, in words for people."""


def main(report: int, target: str) -> None:
    """Call it, tell what came of it, and exit with 1 if that was an exception."""
    os.set_inheritable(report, False)
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # so that who follows the output sees it
    sys.path.insert(0, str(Path.cwd()))
    sys.argv = [target]
    try:
        value = _call(target, json.loads(os.environ.get("RUNNER_PARAMS") or "{}"))
    except SystemExit:
        raise
    except _Refused as error:
        _fail(report, str(error), f"{error}\n")
    except BaseException as error:  # noqa: BLE001  (KeyboardInterrupt is a stop_signal like others)
        shown = error.with_traceback(_theirs(error.__traceback__))
        _fail(report, _exception_text(error), "".join(traceback.format_exception(shown)))
    if value is not None:
        _tell(report, f"returned {_repr(value)}")


def _call(target: str, params: dict[str, Any]) -> object:
    function = _find(target)
    value = function(**_arguments(target, function, params))
    if inspect.iscoroutine(value):
        import asyncio

        value = asyncio.run(value)
    return value


def _find(target: str) -> Any:
    name, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # theirs: one that they import
        raise _Refused(
            f"there is no module {error.name!r}, neither in {Path.cwd()} nor in Python's path"
        ) from None
    try:
        function = operator.attrgetter(attribute)(module)
    except AttributeError:
        raise _Refused(f"module {name!r} has no {attribute!r}") from None
    if not callable(function):
        raise _Refused(f"{target} is no function but {type(function).__name__}")
    return function


def _arguments(target: str, function: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Return what it is called with: of the params those that it names, or all if it
    takes any keyword.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a builtin that does not tell
        return {}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    named = {parameter.name for parameter in parameters if parameter.kind in _KEYWORDS}
    given = {name: value for name, value in params.items() if takes_any or name in named}
    needed = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        and (parameter.name not in given or parameter.kind is parameter.POSITIONAL_ONLY)
    ]
    if needed:
        raise _Refused(
            f"{target} needs {', '.join(map(repr, needed))}, which `params` does not give it by name"
        )
    return given


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the frames before their first one: ours, and those of Python's own way there."""
    while trace and trace.tb_frame.f_code.co_filename.startswith(_BEFORE_THEIRS):
        trace = trace.tb_next
    return trace


def _exception_text(error: BaseException) -> str:
    kind = type(error)
    name = (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  (the callable's own __str__ may raise anything)
        text = "(its text cannot be shown)"
    return f"{name}: {text}" if text else name


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  (so may its __repr__)
        return f"a {type(value).__qualname__} that cannot be shown ({_exception_text(error)})"


def _fail(report: int, result: str, message: str) -> NoReturn:
    _tell(report, result)
    sys.stdout.flush()
    sys.stderr.write(message)
    sys.exit(1)


def _tell(report: int, result: str) -> None:
    with suppress(OSError):  # they closed what they did not open: there is nobody to tell any more
        os.write(
            report,
            b"result:" + result.encode("utf-8", "replace").replace(b"\0", b"?")[:_LONGEST] + b"\0",
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
