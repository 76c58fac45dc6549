"""Short words and marks for durations, statuses and times. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from runner.access.shown.event_words import mark_of
from runner.lifecycle import ExecutionStatus
from runner.planning.states.results import FAILURES
from runner.timing.zones import zone_named
from runner.values import parse_instant
from runner.web.pages.ansi import plain_text

_LONGEST_GIST = 200
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_TONES = {
    ExecutionStatus.SUCCESS: "ok",
    ExecutionStatus.ERROR: "bad",
    ExecutionStatus.SYSTEM_RESTART: "bad",
    ExecutionStatus.MISFIRED: "warn",
    ExecutionStatus.PROCESSING: "run",
}


def short_duration(seconds: float) -> str:
    """Return a duration in at most two units, for a narrow column.

    >>> [short_duration(each) for each in (0.0314, 12.44, 190, 11_520, 187_200)]
    ['0.03s', '12.4s', '3m10s', '3h12m', '2d4h']
    """
    if seconds < _MINUTE:
        return f"{seconds:.2f}s" if seconds < 10 else f"{seconds:.1f}s"
    whole = round(seconds)
    for size, unit, rest_size, rest_unit in (
        (_DAY, "d", _HOUR, "h"),
        (_HOUR, "h", _MINUTE, "m"),
        (_MINUTE, "m", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // rest_size
            return f"{whole // size}{unit}" + (f"{rest}{rest_unit}" if rest else "")
    return f"{whole}s"


def rough_duration(seconds: float) -> str:
    """Return a duration that counts on while it is read: without fractions.

    >>> rough_duration(12.44), rough_duration(190)
    ('12s', '3m10s')
    """
    return f"{round(seconds)}s" if seconds < _MINUTE - 0.5 else short_duration(seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A status as the page shows it: never by colour alone."""

    tone: str
    mark: str
    word: str

    def __html__(self) -> str:
        """Return the status as HTML, for templates."""
        return Markup('<span class="s {}"><span aria-hidden="true">{}</span> {}</span>').format(
            self.tone, self.mark, self.word
        )


def shown_status(status: str, *, is_over: bool = False) -> Shown:
    """Return how an execution's status is shown; a failure that is over is not red.

    >>> shown_status("error")
    Shown(tone='bad', mark='✗', word='error')
    >>> shown_status("error", is_over=True).tone
    'idle'
    """
    try:
        known = ExecutionStatus(status)
    except ValueError:  # of another version, or of another program
        return Shown(tone="idle", mark="?", word=str(status))
    tone = _TONES.get(known, "idle")
    return Shown(
        tone="idle" if is_over and tone == "bad" else tone,
        mark=mark_of(known),
        word=str(known).replace("_", " "),
    )


def time_tag(instant: datetime | None, zone: str, now: datetime, *, form: str = "moment") -> Markup:
    """Return an instant as HTML: wall time in `zone`, UTC in the tooltip.

    `form` is "moment" (a time for today, else a date and a time), "full" (date and time
    with seconds) or "clock" (hour and minute). The script puts the viewer's zone instead.
    """
    if instant is None:
        return Markup('<span class="soft">–</span>')
    return Markup('<time datetime="{}" title="{} UTC" data-form="{}">{}</time>').format(
        iso_text(instant),
        f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        form,
        wall_text(instant, zone, now, form=form),
    )


def iso_text(instant: datetime) -> str:
    """Return an instant as browsers read it: UTC, to the millisecond."""
    return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def wall_text(instant: datetime, zone: str, now: datetime, *, form: str) -> str:
    """Return an instant as wall time, as `time_tag` shows it.

    >>> noon = datetime(2026, 11, 30, 12, tzinfo=UTC)
    >>> wall_text(noon, "Europe/Madrid", noon, form="moment")
    '13:00:00'
    """
    local, today = (each.astimezone(zone_named(zone)) for each in (instant, now))
    if form == "clock":
        return f"{local:%H:%M}"
    if form == "full":
        return f"{local:%Y-%m-%d %H:%M:%S}"
    if local.date() == today.date():
        return f"{local:%H:%M:%S}"
    return f"{local:%a %d %b %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Writes instants for one page: the zone without the script, and the present."""

    zone: str
    now: datetime

    def moment(self, instant: datetime | str | None) -> Markup:
        """Return a time of today, or a date and a time. A text is a record's."""
        return self._tag(instant, "moment")

    def full(self, instant: datetime | str | None) -> Markup:
        """Return a date and a time with seconds."""
        return self._tag(instant, "full")

    def hour(self, instant: datetime) -> str:
        """Return an hour and a minute, for the axis of a picture."""
        return wall_text(instant, self.zone, self.now, form="clock")

    def elapsed(self, since: datetime | str) -> Markup:
        """Return how long ago an instant is; the script counts on."""
        begin = parse_instant(since) if isinstance(since, str) else since
        seconds = max((self.now - begin).total_seconds(), 0.0)
        return Markup('<span data-since="{}">{}</span>').format(
            iso_text(begin), rough_duration(seconds)
        )

    def ahead(self, instant: datetime) -> str:
        """Return how far ahead an instant is."""
        seconds = (instant - self.now).total_seconds()
        return f"in {rough_duration(seconds)}" if seconds >= 1 else "due"

    def _tag(self, instant: datetime | str | None, form: str) -> Markup:
        if isinstance(instant, str):
            instant = parse_instant(instant)
        return time_tag(instant, self.zone, self.now, form=form)


def gist(record: Mapping[str, Any]) -> str:
    """Return what a record says in one line: its message, else its last line of output.

    >>> gist({"message": None, "output_tail": "reading\\nposted 412 documents\\n"})
    'posted 412 documents'
    """
    if record.get("message"):
        return str(record["message"])
    lines = str(record.get("output_tail") or "").strip().splitlines()
    return plain_text(lines[-1])[:_LONGEST_GIST] if lines else ""


def success_rate(counts: Mapping[str, int]) -> str | None:
    """Return the share of successes among what ended as success or failure, in words.

    Rounded down: 99.9 % is not 100 %.

    >>> success_rate({"success": 1999, "error": 1})
    '99.9 %'
    """
    good = counts.get(ExecutionStatus.SUCCESS, 0)
    total = good + sum(counts.get(status, 0) for status in FAILURES)
    if not total:
        return None
    return f"{good * 1000 // total / 10:g} %"
