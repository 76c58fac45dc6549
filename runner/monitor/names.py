"""The names of an execution: its request's and, for a member of a group, the member's too. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_ARROW = " › "
_SHOWN_ID = 8


def shown_name(request: str, process: str, *, is_member: bool) -> str:
    """Return what people see as the name of an execution.

    >>> shown_name("month-end", "month-end/extract", is_member=True)
    'month-end › extract'
    """
    return f"{request}{_ARROW}{process.removeprefix(f'{request}/')}" if is_member else request


def is_called(name: str, request: str, process: str, *, is_member: bool) -> bool:
    """Tell whether an execution bears `name`: a member both its group's and its own,
    and the two together.

    >>> is_called("extract", "month-end", "month-end/extract", is_member=True)
    True
    """
    if name == request:
        return True
    member = process.removeprefix(f"{request}/")
    return is_member and path_of(name) in (
        process,
        member,
        f"{request}/{member}",
        member.rpartition("/")[2],
    )


def path_of(name: str) -> str:
    """Return a name with the arrow of `shown_name` as the slash of a member's process.

    >>> path_of("month-end › extract")
    'month-end/extract'
    """
    return name.replace(_ARROW, "/")


def name_in(record: Mapping[str, object]) -> str:
    """Return the shown name of the execution that a record is about."""
    is_member = record.get("group") is not None
    return shown_name(str(record.get("request")), str(record.get("process")), is_member=is_member)


def is_named(record: Mapping[str, object], name: str) -> bool:
    """Tell whether a record is about something called `name`: a request, or a member of a group."""
    is_member = record.get("group") is not None
    return is_called(
        name, str(record.get("request")), str(record.get("process")), is_member=is_member
    )


def short_id(execution: str) -> str:
    """Return the end of an execution's id, which is random; ids of one time begin alike.

    >>> short_id("019a9f3e-8a4f-7aa0-8f5e-6f1c2d3e4f50")
    '2d3e4f50'
    """
    return execution[-_SHOWN_ID:]
