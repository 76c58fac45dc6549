"""What a message says to people. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from runner.lifecycle import Check
from runner.monitor.names import short_id
from runner.notifying.notice import Notice, NotifiedAlert, Stage
from runner.timing.zones import zone_named
from runner.values import duration_text, neutral

MOST_DETAILED = 3
"""How many alerts a message describes."""
_MOST_LISTED, _MOST_LINES = 20, 20
"""How many alerts a message lists, and how many lines of an output it shows."""
_LONGEST_SUBJECT = 150
_WHAT = {
    Check.FAILURE: "fails",
    Check.MISSED: "missed fires",
    Check.LATE_START: "starts late",
    Check.LATE: "finishes late",
    Check.OVERRUN: "runs too long",
    Check.ABSENT: "has no success",
    Check.INVALID: "has an invalid file",
    Check.SKIPPED: "is skipped",
    Check.STORE: "cannot write its store",
    Check.LOG: "cannot write the monitor log",
    Check.DISK: "is short of disk space",
    Check.CLOCK: "distrusts the clock",
    Check.RELOAD: "cannot read the jobs folder",
    Check.QUEUE: "has a queue without a worker",
}
_TIMES = frozenset({Check.FAILURE, Check.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageContext:
    """What a message says about the runner and about what comes.

    `zone` is an IANA key. `next_fires` are those of the requests that have one. `page` is
    the URL of the runner's page, if it has one for others.
    """

    host: str
    jobs: str
    zone: str = "UTC"
    next_fires: Mapping[str, datetime] = field(default_factory=dict)
    page: str | None = None


def subject_of(notices: Sequence[Notice], context: MessageContext) -> str:
    """Return the subject: one alert in full, or how many there are and the first of them."""
    first = headline(notices[0], context)
    if len(notices) > 1:
        first = f"{_count(notices)}, first: {first}"
    return neutral(first)[:_LONGEST_SUBJECT]


def headline(notice: Notice, context: MessageContext) -> str:
    """Return an alert in one line."""
    facts, name = notice.facts, _name(notice.facts, context)
    if facts.closed_at is not None:
        return f"{name} has recovered: {facts.closing}"
    again = "still " if notice.stage is Stage.OPEN else ""
    return f"{name} {again}{_WHAT[facts.check]}: {facts.message}"


def text_of(notices: Sequence[Notice], context: MessageContext) -> str:
    """Return the text of a message, without control characters."""
    lines = list(_lines(notices, context))
    return "".join(f"{neutral(line)}\n" for line in lines)


def _lines(notices: Sequence[Notice], context: MessageContext) -> Iterator[str]:
    detailed = notices[:MOST_DETAILED]
    if len(notices) > 1:
        yield f"{_count(notices)}:"
        yield ""
        for notice in notices[:_MOST_LISTED]:
            yield f"- {headline(notice, context)}"
        if len(notices) > _MOST_LISTED:
            yield f"- and {len(notices) - _MOST_LISTED} more; `runner alerts` lists what is open"
        yield ""
    for notice in detailed:
        yield from _details(notice, context)
        yield ""
    yield f"Runner on {context.host}, {context.jobs}"


def _details(notice: Notice, context: MessageContext) -> Iterator[str]:
    """Yield everything about one alert, the commands that show more last."""
    facts = notice.facts
    yield headline(notice, context)
    yield from (f"{label:<11}{value}" for label, value in _facts(facts, context))
    tail = (facts.output_tail or "").expandtabs().strip("\n").splitlines()[-_MOST_LINES:]
    if tail and facts.closed_at is None:
        yield ""
        yield "The last lines of its output:"
        yield from (f"    {line}" for line in tail)
    if facts.closed_at is None:
        yield ""
        commands = list(_commands(facts))
        width = max(len(command) for command, _ in commands) + 2
        yield from (f"{command:<{width}}{effect}" for command, effect in commands)


def _facts(facts: NotifiedAlert, context: MessageContext) -> Iterator[tuple[str, str]]:
    if facts.closed_at is not None:
        yield "Alert", f"{_WHAT[facts.check]}: {facts.message}"
        seconds = (facts.closed_at - facts.since) // timedelta(seconds=1)
        span = duration_text(timedelta(seconds=seconds))
        yield (
            "From",
            f"{_moment(facts.since, context)} to {_moment(facts.closed_at, context)}, {span}",
        )
    else:
        times = f", {facts.count} times in a row" if _is_counted(facts) else ""
        yield "Since", f"{_moment(facts.since, context)}{times}"
    if facts.execution:
        yield "Execution", short_id(facts.execution)
    if (fire := context.next_fires.get(facts.request or "")) is not None:
        yield "Next fire", _moment(fire, context)
    if facts.owner:
        yield "Owner", facts.owner
    if context.page is not None:
        yield "Page", context.page.rstrip("/") + _path(facts)


def _path(facts: NotifiedAlert) -> str:
    """Return where the page shows what an alert is about."""
    if facts.execution:
        return f"/executions/{facts.execution}"
    return "/" if facts.request is None else f"/requests/{facts.request}"


def _commands(facts: NotifiedAlert) -> Iterator[tuple[str, str]]:
    if facts.request is None:
        yield "runner doctor", "says what to do"
        return
    if facts.execution:
        yield f"runner log {short_id(facts.execution)}", "shows its whole output"
    if facts.check is Check.INVALID:
        yield "runner validate", "shows each problem and its fix"
    else:
        yield f"runner show {facts.request}", "shows the request"
    yield f"runner alerts --ack {facts.request} --until 12h", "silences the alert"


def _count(notices: Iterable[Notice]) -> str:
    stages = [each.facts.closed_at is not None for each in notices]
    closed = sum(stages)
    failing = [each for each in notices if each.facts.check is Check.FAILURE]
    if len(failing) == len(stages) and not closed:
        return f"{len(stages)} requests fail"
    parts = ((len(stages) - closed, "alert", "alerts"), (closed, "recovery", "recoveries"))
    return " and ".join(f"{n} {one if n == 1 else many}" for n, one, many in parts if n)


def _name(facts: NotifiedAlert, context: MessageContext) -> str:
    return facts.request or f"the runner on {context.host}"


def _is_counted(facts: NotifiedAlert) -> bool:
    return facts.check in _TIMES and facts.count > 1


def _moment(instant: datetime, context: MessageContext) -> str:
    return f"{instant.astimezone(zone_named(context.zone)):%Y-%m-%d %H:%M:%S %Z}"
