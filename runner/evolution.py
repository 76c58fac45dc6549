"""Copies values with changes, quickly. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from operator import attrgetter
from typing import Any, TypeVar, cast

Value = TypeVar("Value")
_readers: dict[type, tuple[tuple[str, ...], Callable[[object], tuple[object, ...]]]] = {}
"""The names of a dataclass's fields, and what reads their values."""


def evolved(value: Value, **changes: Any) -> Value:
    """Return a copy of a frozen dataclass of several fields, with changes.

    The same as `dataclasses.replace` in half the time. Each execution needs it several
    times; elsewhere `replace` is clearer.
    """
    kind = type(value)
    if (reader := _readers.get(kind)) is None:
        names = tuple(each.name for each in fields(cast(Any, kind)))
        reader = _readers[kind] = names, attrgetter(*names)
    names, values_of = reader
    return kind(**{**dict(zip(names, values_of(value), strict=True)), **changes})
