"""Checks of the clock, its zone and the zone data. Asks the kernel, reads the log and the
store.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import TZPATH

from runner import RELEASED
from runner.errors import RuleError
from runner.examination.doctor_findings import DoctorFinding, advice, good, problem, warning
from runner.examination.subject import Subject
from runner.monitor.reading import Filter, newest
from runner.monitor.records import Event
from runner.service.clock_watch import wrong_clock_words
from runner.service.clocks.kept_zones import ZONE, zone_data_of
from runner.store.opening import read_store
from runner.system.zone_data import read_zone
from runner.timing.zones import zone_named
from runner.values import clock_text, neutral

_STA_UNSYNC, _TIME_ERROR = 0x40, 5  # adjtimex(2)
_TIMESYNC = Path("/run/systemd/timesync/synchronized")
_STEPS_FOR, _STEPS_READ = timedelta(days=7), 1000  # clock steps in the log


class _Timex(ctypes.Structure):
    """The first fields of `struct timex` (adjtimex(2)). `rest` is larger than the
    fields that follow.
    """

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    )


def zone_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether the zone for times without an offset exists, and how old the zone data is."""
    try:
        zone_named(subject.zone)
    except RuleError as error:
        yield problem(
            "zone",
            str(error),
            error.suggestion or "choose one with --timezone, such as Europe/Madrid",
        )
        return
    system, package = (
        system_tzdata(),
        _version_in(files("tzdata").joinpath("zoneinfo", "tzdata.zi").read_text()),
    )
    if system is None:
        yield good(
            "zone", f"{subject.zone}, with the zone data {package} of Python's tzdata package"
        )
    elif system < package:
        message = (
            f"the system's zone data is {system}, older than {package} of Python's tzdata package"
        )
        yield advice(
            "zone", message, "update the system's tzdata, or set PYTHONTZPATH= to use the package's"
        )
    else:
        yield good("zone", f"{subject.zone}, with the system's zone data {system}")


def running_zone_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report a live runner whose zone or zone data differs from what a runner started
    now would use.
    """
    if subject.pid is None:
        return
    with closing(read_store(subject.store)) as reader:
        meta = reader.meta()
    zone = meta.get(ZONE, subject.zone)
    if zone != subject.zone:
        message = f"the runner uses the zone {zone}, but the zone here is {subject.zone}"
        yield advice(
            "zone",
            message,
            "nothing to do: commands use the runner's zone; to change it, restart the runner here",
        )
    old = [key for key, raw in zone_data_of(meta).items() if read_zone(key) not in (None, raw)]
    if old:
        message = f"the runner's zone data for {', '.join(old)} differs from the data on the disk"
        right = (
            "run `runner reload`; if this warning stays, the runner has another PYTHONTZPATH: "
            "restart it"
        )
        yield warning("zone", message, right)


def system_tzdata() -> str | None:
    """Return the version of the zone data that Python finds first, such as 2025b; None
    if no zone data there states its version.
    """
    for folder in map(Path, TZPATH):
        try:
            return _version_in((folder / "tzdata.zi").read_text())
        except (OSError, UnicodeDecodeError):
            continue
    return None


def _version_in(rules: str) -> str:
    return neutral(rules.partition("\n")[0].removeprefix("# version "))


def clock_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether the clock is right and synchronised, and the latest steps in the
    monitor log.
    """
    now = datetime.now(UTC)
    if now < RELEASED:
        yield problem(
            "clock", wrong_clock_words(now, RELEASED), "set the clock, or let chrony do it"
        )
    synchronised = is_synchronised()
    if synchronised is None:
        yield good("clock", "the system does not say whether its clock is synchronised")
    elif synchronised:
        yield good("clock", "the clock is synchronised")
    else:
        message = "the clock is not synchronised (adjtimex)"
        yield warning(
            "clock", message, "run chrony or systemd-timesyncd; in a container, on its host"
        )
    if not subject.monitor_log.is_file():
        return
    matching = Filter(events=frozenset({Event.RUNNER_CLOCK_STEPPED}), since=now - _STEPS_FOR)
    steps = newest(subject.monitor_log, _STEPS_READ, matches=matching)
    back = [record for record in steps if record.get("reopened_from")]
    # The last step of all, and before it the last one back, whose reopened span may be open.
    for record in steps[-1:] if back[-1:] == steps[-1:] else [*back[-1:], *steps[-1:]]:
        yield advice("clock", _step_words(record), "let the time service slew the clock")


def _step_words(record: Mapping[str, object]) -> str:
    step_s = float(str(record.get("step_s") or 0))
    message = f"the clock was stepped by {clock_text(step_s)} at {record.get('time')}"
    if begin := record.get("reopened_from"):
        until = record.get("reopened_until")
        message += f"; from {begin} to {until}, fires run only on time"
    return message


def is_synchronised() -> bool | None:
    """Return whether the kernel's clock is synchronised; None if the system does not say."""
    if _TIMESYNC.exists():
        return True
    if sys.platform != "linux":
        return None
    timex = _Timex()
    state = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    return None if state < 0 else state != _TIME_ERROR and not timex.status & _STA_UNSYNC
