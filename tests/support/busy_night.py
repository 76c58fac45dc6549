"""A jobs folder and the log of its last 20 hours, as a real site has them: for the pages.

The past is written, not run: a page shows a day, and a test has seconds. The same count
and mood give the same night, up to the present.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.monitor_records import line_of
from support.place import GATE

from runner.monitor.records import Event, Recorder
from runner.values import new_id

NAMES = (
    "nightly-posting", "backup-erp", "import-bank-statements", "month-end", "disk-usage",
    "load-history", "invoice-mailer", "stock-sync", "price-feed", "cache-warmup",
    "currency-rates", "payroll-export", "report-sales", "report-margin", "gl-reconcile",
    "edi-inbound", "edi-outbound", "certificate-check", "log-archive", "dunning-letters",
)  # fmt: skip
_EVERY_MIN = (240, 360, 30, 720, 15, 60, 120, 20, 5, 90)
_TAKES_S = (900, 2400, 40, 5400, 2, 1200, 300, 55, 41, 600)
_BAD, _MISSED = frozenset({0, 2, 6}), frozenset({7, 9})
_LONG = 3
_TEAMS = ("finance", "logistics", "sales", "it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Night:
    """Some requests, `is_bad` if a few of them failed until now and some fires were missed."""

    count: int
    is_bad: bool

    def names(self) -> list[str]:
        """Return the names of the requests."""
        rounds = range(-(-self.count // len(NAMES)))
        named = [f"{name}-{n:02d}" if n else name for n in rounds for name in NAMES]
        return named[: self.count]

    def write_requests(self, jobs: Path, *, is_going_on: bool = False) -> None:
        """Write a file for each request.

        If a bad night goes on, its failing requests run every 20 seconds, and so does a long
        one, until the test opens its gate.
        """
        for at, name in enumerate(self.names()):
            is_failing, is_long = self.is_bad and at in _BAD, self.is_bad and at == _LONG
            what = "echo posted 120 documents"
            if is_failing:
                what = "echo 'ORA-12541: TNS:no listener' >&2; exit 3"
            elif is_long and is_going_on:
                what = GATE
            rule: dict[str, object] = {
                "frequency": "minutely",
                "interval": _EVERY_MIN[at % len(_EVERY_MIN)],
            }
            if is_going_on and (is_failing or is_long):
                rule = {"frequency": "secondly", "interval": 20}
            content = {
                "description": f"Posts the documents of {_TEAMS[at % 4]}",
                "owner": _TEAMS[at % 4],
                "labels": {"team": _TEAMS[at % 4]},
                "process": {"shell": what, "prevent_concurrent": True},
                "timing": {"schedule": rule},
            }
            (jobs / f"{name}.yaml").write_text(json.dumps(content, indent=1))

    def write_log(self, log: Path, now: datetime | None = None) -> None:
        """Write the finished records of the last 20 hours."""
        now, recorder = now or datetime.now(UTC), Recorder("erp", "erp-1")
        ends = sorted(self._ends(now), key=lambda end: end[0])
        with log.open("ab") as file:
            file.writelines(
                line_of(recorder, Event.EXECUTION_FINISHED, at, **fields) for at, fields in ends
            )

    def _ends(self, now: datetime) -> Iterator[tuple[datetime, dict[str, object]]]:
        chance = random.Random(7)
        for at, name in enumerate(self.names()):
            every = timedelta(minutes=_EVERY_MIN[at % len(_EVERY_MIN)])
            fire = now - timedelta(hours=20) + every * chance.random()
            gap = now - timedelta(hours=7), now - timedelta(hours=5)
            is_missing = self.is_bad and at in _MISSED
            if is_missing:
                yield gap[1], _missed(name, *gap, round((gap[1] - gap[0]) / every))
            while fire < now:
                takes = timedelta(seconds=_TAKES_S[at % 10] * chance.uniform(0.8, 1.25))
                is_failing = self.is_bad and at in _BAD and fire > now - timedelta(hours=5)
                is_unlucky = at % 10 != 4 and chance.random() < 0.01
                is_last = fire + every + timedelta(seconds=1.25 * _TAKES_S[at % 10]) >= now
                has_failed = is_failing or (is_unlucky and not is_last)
                if fire + takes < now and not (is_missing and gap[0] < fire < gap[1]):
                    yield fire + takes, _ended(name, at, fire, takes, has_failed=has_failed)
                fire += every


def _ended(
    name: str, at: int, fire: datetime, takes: timedelta, *, has_failed: bool
) -> dict[str, object]:
    return {
        **_common(name, fire),
        "status": "error" if has_failed else "success",
        "reason": "exit_code" if has_failed else None,
        "message": "exit code 3" if has_failed else None,
        "exit_code": 3 if has_failed else 0,
        "started": fire,
        "ended": fire + takes,
        "duration_s": takes.total_seconds(),
        "lateness_s": 0.01,
        "output_tail": "posted 120 documents\n",
        "labels": {"team": _TEAMS[at % 4]},
        "owner": _TEAMS[at % 4],
    }


def _missed(name: str, begin: datetime, end: datetime, count: int) -> dict[str, object]:
    return {
        **_common(name, end),
        "status": "misfired",
        "reason": "missed",
        "ended": end,
        "message": f"{count} fires missed",
        "missed_count": count,
        "missed_from": begin,
        "missed_until": end,
    }


def _common(name: str, fire: datetime) -> dict[str, object]:
    return {
        "execution": new_id(),
        "request": name,
        "process": name,
        "channel": "process_scheduler",
        "scheduled_for": fire,
        "attempt": 1,
        "generation": 1,
    }
