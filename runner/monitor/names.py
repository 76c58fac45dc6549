"""The names of an execution: its request's, and for a group member also its own. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from runner.matching import is_matched

_ARROW = " › "
_SHOWN_ID = 8


def shown_name(request: str, process: str, *, is_member: bool) -> str:
    """Return the name of an execution as people see it.

    >>> shown_name("month-end", "month-end/extract", is_member=True)
    'month-end › extract'
    """
    return f"{request}{_ARROW}{process.removeprefix(f'{request}/')}" if is_member else request


def is_called(name: str, request: str, process: str, *, is_member: bool) -> bool:
    """Return whether `name`, which may be a glob, names an execution.

    A group member answers to its group's name, its own name, and both together.

    >>> is_called("extract", "month-end", "month-end/extract", is_member=True)
    True
    """
    names = [request]
    if is_member:
        member = process.removeprefix(f"{request}/")
        names += [process, member, f"{request}/{member}", member.rpartition("/")[2]]
    return is_matched(names, path_of(name))


def path_of(name: str) -> str:
    """Replace the arrow of `shown_name` by the slash of a member's process name.

    >>> path_of("month-end › extract")
    'month-end/extract'
    """
    return name.replace(_ARROW, "/")


def name_in(record: Mapping[str, object]) -> str:
    """Return the shown name of the execution that a record describes."""
    is_member = record.get("group") is not None
    return shown_name(str(record.get("request")), str(record.get("process")), is_member=is_member)


def who(record: Mapping[str, object]) -> str:
    """Return the name of a record's execution: the request or `group › member`, and the
    attempt after the first one.
    """
    name = name_in(record)
    attempt = record.get("attempt") or 1
    return f"{name} (attempt {attempt})" if attempt != 1 else name


def is_named(record: Mapping[str, object], name: str) -> bool:
    """Return whether a record describes the request or the group member `name`."""
    is_member = record.get("group") is not None
    return is_called(
        name, str(record.get("request")), str(record.get("process")), is_member=is_member
    )


def short_id(execution: str) -> str:
    """Return the last 8 characters of an execution's id.

    They are random. The first characters of a UUIDv7 are its time, so ids of the same
    moment begin alike.

    >>> short_id("019a9f3e-8a4f-7aa0-8f5e-6f1c2d3e4f50")
    '2d3e4f50'
    """
    return execution[-_SHOWN_ID:]
