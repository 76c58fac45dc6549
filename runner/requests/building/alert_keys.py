"""`expect` and `notify`, in a request or in the settings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runner.lifecycle import Check
from runner.requests.policies import NO_EXPECTATIONS, Expect, Route

if TYPE_CHECKING:
    from runner.requests.building.document_part import Part


def expect_of(document: Part) -> Expect:
    """Return what a document expects of executions; it may expect nothing."""
    if "expect" not in document.data:
        return NO_EXPECTATIONS
    part = document.below("expect")
    return Expect(**{key: part.duration(key, None, above_zero=True) for key in part.data})


def routes_in(document: Part) -> tuple[Route, ...] | None:
    """Return the routes of a document; None if it has no `notify`."""
    if "notify" not in document.data:
        return None
    entries = range(len(document.data["notify"]))
    return tuple(route_of(document.below("notify", index)) for index in entries)


def route_of(part: Part) -> Route:
    """Return one entry of `notify`."""
    data, default = part.data, Route(to=part.data["to"])
    return Route(
        to=data["to"],
        on=frozenset(map(Check, data.get("on", default.on))),
        after=data.get("after", default.after),
        repeat=part.duration("repeat", default.repeat, above_zero=True),
        recovery=data.get("recovery", default.recovery),
    )
