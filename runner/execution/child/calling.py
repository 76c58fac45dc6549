"""A program that calls a Python function for an execution. The runner runs it as a file.

Its arguments are the descriptor of the report, and the callable as
package.module:function. It imports nothing from the runner: a module of the user may
have the same name.
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

_LONGEST = 8192  # bytes in the report; the runner shows fewer
_KEYWORDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
# Files of the frames between `main` and the user's function.
_BEFORE_THEIRS = (
    __file__,
    "<frozen importlib",
    importlib.__file__,
    str(Path(os.__file__).with_name("asyncio")),
)


class _Refused(Exception):  # noqa: N818  (it never leaves this file)
    """A callable cannot be called; the text says why, in words for people."""


def main(report: int, target: str) -> None:
    """Call the target and report its result. Exit with 1 after an exception."""
    os.set_inheritable(report, False)
    # Line by line, so that `runner log -f` shows the output at once.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    sys.path.insert(0, str(Path.cwd()))
    sys.argv = [target]
    try:
        value = _call(target, json.loads(os.environ.get("RUNNER_PARAMS") or "{}"))
    except SystemExit:
        raise
    except _Refused as error:
        _fail(report, str(error), f"{error}\n")
    except BaseException as error:  # noqa: BLE001  (KeyboardInterrupt: stop_signal may be INT)
        shown = error.with_traceback(_theirs(error.__traceback__))
        _fail(report, _exception_text(error), "".join(traceback.format_exception(shown)))
    if value is not None:
        _report_result(report, f"returned {_repr(value)}")


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
            raise  # the user's module imports a missing module
        raise _Refused(
            f"there is no module {error.name!r}, neither in {Path.cwd()} nor in Python's path"
        ) from None
    try:
        function = operator.attrgetter(attribute)(module)
    except AttributeError:
        raise _Refused(f"module {name!r} has no {attribute!r}") from None
    if not callable(function):
        raise _Refused(f"{target} is not a function but {type(function).__name__}")
    return function


def _arguments(target: str, function: Any, params: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments of the call.

    These are the params that the function names, or all of them if it has `**kwargs`.
    Raises _Refused if a required argument is missing.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a builtin without a signature
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
            f"{target} needs {', '.join(map(repr, needed))}, which `params` does not contain"
        )
    return given


def _theirs(trace: TracebackType | None) -> TracebackType | None:
    """Drop the frames before the user's code: ours, importlib's and asyncio's."""
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
    except Exception:  # noqa: BLE001  (the exception's own __str__ may raise anything)
        text = "(its text cannot be shown)"
    return f"{name}: {text}" if text else name


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  (the value's __repr__ may raise anything)
        return f"a {type(value).__qualname__} that cannot be shown ({_exception_text(error)})"


def _fail(report: int, result: str, message: str) -> NoReturn:
    _report_result(report, result)
    sys.stdout.flush()
    sys.stderr.write(message)
    sys.exit(1)


def _report_result(report: int, result: str) -> None:
    with suppress(OSError):  # the user's code closed the descriptor
        os.write(
            report,
            b"result:" + result.encode("utf-8", "replace").replace(b"\0", b"?")[:_LONGEST] + b"\0",
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
