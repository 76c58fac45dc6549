"""Pauses: which requests may not fire, and from when until when. Pure.

A pause is a span of time, and a fire that falls due within it is *held*: it gets its verdict
when the pause is over. So a pause changes no request and no state, and a verdict depends only
on the spans, however often the runner was restarted in between. The spans stay in the store
for a while after their end, because fires may get their verdicts much later: a pause can end
while no runner is running.

A pause begins when a person asks for it, never later. Therefore every pause has begun, and a
request is held until the last end of its pauses.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import compress
from typing import Any

from runner.requests.model import Outline
from runner.timing.zones import END
from runner.values import EPOCH, from_microseconds, to_microseconds

KEY = "pauses"
"""The key of the pauses in the store's meta."""
MOST_PAUSES = 100
"""How many pauses can be active at once."""
_MOST_OVER = 1000
_KEPT = timedelta(days=30)
"""How long a pause stays in the store after its end. A fire that gets its verdict later counts
as missed.
"""

TimeSpan = tuple[datetime, datetime]
"""From the first instant until before the second one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The disjoint spans in which fires of one request are held, ascending."""

    spans: tuple[TimeSpan, ...] = ()

    @property
    def until(self) -> datetime:
        """When the request may fire again: END while no end is known, EPOCH without a pause."""
        return self.spans[-1][1] if self.spans else EPOCH

    @property
    def parts(self) -> Iterator[tuple[TimeSpan, bool]]:
        """Yield consecutive spans that cover all of time, and whether each holds fires."""
        begin = EPOCH
        for span in self.spans:
            yield (begin, span[0]), False
            yield span, True
            begin = span[1]
        yield (begin, END), False

    def released_at(self, due: datetime) -> datetime:
        """Return when a fire that falls due at `due` may run: then, or at the pause's end."""
        return next((end for begin, end in self.spans if begin <= due < end), due)

    def covers(self, due: datetime) -> bool:
        """Return whether a fire that falls due at `due` is held."""
        return self.released_at(due) != due

    def earlier(self, delay: timedelta) -> Held:
        """Return the spans for fire times, if the fires fall due `delay` after them."""
        if not (self.spans and delay):
            return self
        return Held(spans=tuple((begin - delay, end - delay) for begin, end in self.spans))


NOT_HELD = Held()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """A pause of all requests, or of some."""

    begin: datetime
    end: datetime | None
    """When it ends, or when it ended; None until somebody resumes."""
    reason: str
    by: str
    """The person who asked for it."""
    names: frozenset[str] | None = None
    """The requests that it holds; None for all requests, also later ones."""
    excluded: frozenset[str] = frozenset()
    """The requests that were resumed separately from a pause of all."""
    is_over: bool = False
    """Whether its end is recorded. It does not begin again if the clock goes back."""

    def is_of(self, request: Outline) -> bool:
        """Return whether the pause holds a request. A renamed request keeps its pause."""
        return self.is_of_name(request.name, request.formerly)

    def is_of_name(self, *known_as: str | None) -> bool:
        """Return whether the pause holds a request that has, or had, these names."""
        if not self.excluded.isdisjoint(known_as):
            return False
        return self.names is None or not self.names.isdisjoint(known_as)

    def holds(self, due: datetime) -> bool:
        """Return whether a fire that falls due at `due` falls into the pause."""
        return self.begin <= due < (self.end or END)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """The pauses that a store knows, in order of their begin."""

    known: tuple[Pause, ...] = ()

    @property
    def active(self) -> tuple[Pause, ...]:
        """The pauses whose end is not recorded yet."""
        return tuple(pause for pause in self.known if not pause.is_over)

    @property
    def next_end(self) -> datetime | None:
        """When the next active pause ends by itself; None if none does."""
        return min((pause.end for pause in self.active if pause.end is not None), default=None)

    def at(self, now: datetime, request: Outline | None = None) -> tuple[Pause, ...]:
        """Return the pauses that hold fires at `now`: of a request, or of any."""
        return tuple(
            pause
            for pause in self.active
            if now < (pause.end or END) and (request is None or pause.is_of(request))
        )

    def held(self, request: Outline) -> Held:
        """Return when fires of a request are held."""
        return self.held_by_name(request.name, request.formerly) if self.known else NOT_HELD

    def held_by_name(self, *known_as: str | None) -> Held:
        """Return when fires of a request are held that has, or had, these names."""
        spans: list[TimeSpan] = []
        for pause in self.known:
            if not pause.is_of_name(*known_as):
                continue
            end = pause.end or END
            if spans and pause.begin <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(spans[-1][1], end))
            elif pause.begin < end:
                spans.append((pause.begin, end))
        return Held(spans=tuple(spans))

    def holding(self, request: Outline, due: datetime) -> Pause | None:
        """Return the latest pause that holds a request's fire which falls due at `due`."""
        holding = (each for each in self.known if each.holds(due) and each.is_of(request))
        return next(reversed(tuple(holding)), None)

    def text(self) -> str:
        """Return the JSON that `pauses_in` reads."""
        return json.dumps([_fields(pause) for pause in self.known])


NO_PAUSES = Pauses()


def pauses_in(meta: Mapping[str, str]) -> Pauses:
    """Return the pauses in the store's meta."""
    return Pauses(known=tuple(map(_pause, json.loads(meta.get(KEY, "[]")))))


def begun(pauses: Pauses, pause: Pause) -> Pauses:
    """Return the pauses with one that begins now. Pauses of long ago are forgotten."""
    oldest = pause.begin - _KEPT
    over = [each for each in pauses.known if each.is_over and (each.end or END) >= oldest]
    kept = sorted((*over[-_MOST_OVER:], *pauses.active), key=lambda each: each.begin)
    return Pauses(known=(*kept, pause))


def resumed(
    pauses: Pauses, requests: Collection[Outline] | None, now: datetime
) -> tuple[Pauses, tuple[Pause, ...]]:
    """Return the pauses after a resume of `requests` (None: of all), and the ended ones.

    If a pause also holds others, it goes on for them, and its other part ends.
    """
    known, ended = [], []
    for pause in pauses.known:
        goes_on, over = (pause, None) if pause.is_over else _split(pause, requests, now)
        known += [each for each in (over, goes_on) if each is not None]
        ended += [over] if over is not None else []
    return Pauses(known=tuple(known)), tuple(ended)


def elapsed(pauses: Pauses, now: datetime) -> tuple[Pauses, tuple[Pause, ...]]:
    """End the pauses whose time is over. Return all pauses, and those that ended."""
    is_due = [not each.is_over and (each.end or END) <= now for each in pauses.known]
    known = tuple(
        replace(each, is_over=True) if due else each
        for each, due in zip(pauses.known, is_due, strict=True)
    )
    return Pauses(known=known), tuple(compress(known, is_due))


def renamed(pauses: Pauses, former: str, name: str) -> Pauses:
    """Return the pauses after a renaming: those of the former name also hold the new one."""
    return Pauses(
        known=tuple(
            replace(
                each,
                names=each.names and _with_name(each.names, former, name),
                excluded=_with_name(each.excluded, former, name),
            )
            for each in pauses.known
        )
    )


def _with_name(names: frozenset[str], former: str, name: str) -> frozenset[str]:
    return names | {name} if former in names else names


def stepped_back(pauses: Pauses, now: datetime) -> Pauses:
    """Return the pauses after the clock went back to `now`.

    Every pause has begun, and one that is over has ended. The end of an active one stays: it
    is a time that a person gave.
    """
    return Pauses(
        known=tuple(
            replace(
                each,
                begin=min(each.begin, now),
                end=min(each.end or END, now) if each.is_over else each.end,
            )
            for each in pauses.known
        )
    )


def _split(
    pause: Pause, requests: Collection[Outline] | None, now: datetime
) -> tuple[Pause | None, Pause | None]:
    """Split a pause at a resume: the part that goes on, and the one that ends. None if empty."""
    if requests is None:
        return None, replace(pause, end=now, is_over=True)
    names = frozenset(
        name
        for request in requests
        if pause.is_of(request)
        for name in (request.name, request.formerly)
        if name is not None and (pause.names is None or name in pause.names)
    )
    if not names:
        return pause, None
    over = replace(pause, end=now, names=names, is_over=True)
    if pause.names is None:
        return replace(pause, excluded=pause.excluded | names), over
    left = pause.names - names
    return (replace(pause, names=left) if left else None), over


def _fields(pause: Pause) -> dict[str, Any]:
    return {
        "begin": to_microseconds(pause.begin),
        "end": pause.end and to_microseconds(pause.end),
        "reason": pause.reason,
        "by": pause.by,
        "names": None if pause.names is None else sorted(pause.names),
        "excluded": sorted(pause.excluded),
        "is_over": pause.is_over,
    }


def _pause(fields: dict[str, Any]) -> Pause:
    names, end = fields["names"], fields["end"]
    return Pause(
        begin=from_microseconds(fields["begin"]),
        end=None if end is None else from_microseconds(end),
        reason=fields["reason"],
        by=fields["by"],
        names=None if names is None else frozenset(names),
        excluded=frozenset(fields["excluded"]),
        is_over=fields["is_over"],
    )
