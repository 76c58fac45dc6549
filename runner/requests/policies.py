"""What a request says about its executions: when they alert whom, and what is kept of them.
Pure values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from runner.lifecycle import Check


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect:
    """What is expected of a request's executions; None for what is not.

    `start_within` and `finish_within` count from the time of a fire, its spread included.
    `duration` is the longest run. `success_every` is the longest time without a success.
    """

    start_within: timedelta | None = None
    finish_within: timedelta | None = None
    duration: timedelta | None = None
    success_every: timedelta | None = None


NO_EXPECTATIONS = Expect()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Which alerts go to a receiver, and how often.

    `to` names the receiver. `after` is how many failures or skipped fires in a row count.
    """

    to: str
    on: frozenset[Check] = frozenset({Check.FAILURE, Check.MISSED, Check.INVALID})
    after: int = 1
    repeat: timedelta = timedelta(hours=24)
    recovery: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long the outputs and results of a request are kept; sizes are bytes.

    None means that the request sets no value.
    """

    keep_for: timedelta | None = None
    failures_keep_for: timedelta | None = None
    keep_count: int | None = None
    keep_size: int | None = None

    def over(self, other: Retention) -> Retention:
        """Return this retention, with the values of `other` where it sets none."""
        own = {name: getattr(self, name) for name in self.__slots__}
        return replace(other, **{name: value for name, value in own.items() if value is not None})


NO_RETENTION = Retention()
