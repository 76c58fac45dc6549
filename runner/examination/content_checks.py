"""Checks of the store, the log and the requests: whether their content is intact. Reads files."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, date, datetime
from fnmatch import fnmatch
from pathlib import Path

from runner.errors import RuleError, StoreError, StoreUnwritableError
from runner.examination.database_checks import database_findings
from runner.examination.doctor_findings import DoctorFinding, advice, good, problem, warning
from runner.examination.subject import Subject
from runner.execution.kept_outputs import kept_outputs
from runner.execution.output import outputs_folder
from runner.monitor.records import decode
from runner.planning.states.pauses import pauses_in
from runner.planning.views.request_cautions import calendars_that_end
from runner.planning.words.pause_words import pause_words
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.model import ProcessRequest
from runner.service.clocks.kept_zones import ZONE
from runner.service.trouble import TroubleNote
from runner.store.opening import owner_of, read_store
from runner.store.place import StorePlace
from runner.store.sqlite.checkup import condition_of
from runner.store.sqlite.connection import database_path
from runner.store.sqlite.files import shared_of
from runner.store.sqlite.holders import readers_of
from runner.system.regular_files import is_folder, read_regular
from runner.timing.zones import zone_named
from runner.values import counted, listed, rough_size_text

_LONG_WAL = 32 << 20  # bytes; the runner checkpoints long before
_END_READERS = "find the program that keeps the store open, and stop it"
_NEAR = 0.9  # of a bound
_MANY_WAITING = 1000  # records
_LARGE_LOG = 1 << 30  # bytes, as the next two
_LARGEST_CONFIGURATION = 1 << 20
_LONGEST_LINE = 32 << 10  # guarantee 3: a record is shorter
_BLOCK = re.compile(r"([^{}]*)\{([^{}]*)\}")  # logrotate: names, then { directives }


def runner_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether a runner is alive, what is paused, and whether the state folder
    belongs to this jobs folder.
    """
    # Not subject.pid: an unreadable lock must become a finding, not "no runner".
    try:
        owner = owner_of(subject.store)
    except StoreUnwritableError:
        message = "it is unknown whether a node leads: the store cannot be reached"
        yield warning("runner", message, "see the check of the store")
        return
    yield good(
        "runner",
        f"runner {owner.pid} is running" + (f" on node {owner.node}" if owner.node else "")
        if owner
        else f"no runner is running on {subject.store.words}",
    )
    with closing(read_store(subject.store)) as reader:
        meta = reader.meta()
    for pause in pauses_in(meta).at(datetime.now(UTC)):
        message = f"paused: {pause_words(pause, _usable(meta.get(ZONE, subject.zone)))}"
        yield advice("runner", message, "`runner resume` ends the pause")
    # In a fleet, each node has the folder at a place of its own.
    served = meta.get("jobs") if subject.store.url is None else None
    if (
        served
        and is_folder(served)
        and is_folder(subject.jobs)
        and not Path(served).samefile(subject.jobs)
    ):
        message = (
            f"the state folder {subject.state} belongs to {served}, "
            f"not to {subject.jobs.absolute()}"
        )
        yield problem(
            "runner",
            message,
            "give this jobs folder its own state folder: --state, RUNNER_STATE, "
            "or `state` in runner.yaml",
        )


def request_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether all requests are valid, including the zones that they name."""
    if subject.listing is None:
        return
    catalog = CatalogReader(subject.jobs, default_zone=_usable(subject.zone)).read()
    count = len(catalog.requests)
    if problems := catalog.problems:
        found = f"{counted(len(problems), 'problem')}"
        what = f"{found} in the request files, the first: {problems[0]}"
        yield warning("requests", what, "`runner validate` shows all of them")
    else:
        yield good("requests", f"{counted(count, 'request')}, all valid, in zones that exist")
    yield from _ending_calendars(catalog.requests.values(), datetime.now(UTC))


def _ending_calendars(requests: Iterable[ProcessRequest], now: datetime) -> Iterator[DoctorFinding]:
    """Warn of each file of dates that ends within 60 days."""
    users: dict[tuple[str, date], list[str]] = defaultdict(list)
    for request in requests:
        for calendar in calendars_that_end(request, now):
            users[calendar].append(request.name)
    for (file, last), names in sorted(users.items()):
        message = f"the dates of {file} end on {last} (used by {listed(names, 1)})"
        yield warning("requests", message, "add those of the next year: `runner calendar`")


def store_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether the store is intact and of this version, and how many records wait in it."""
    if subject.pid is not None and (trouble := TroubleNote(subject.state).read()):
        yield problem(
            "store", f"the runner does not fire: {trouble}", "follow the advice in this message"
        )
    if subject.url is not None:
        yield from database_findings(subject)
        return
    try:
        condition = condition_of(subject.state)
    except StoreError as error:
        yield problem("store", *_parted(str(error)))
        return
    if condition is None:
        yield good("store", "there is no store yet; `runner start` creates it")
        return
    found = []
    if condition.version < condition.newest:
        message = f"it has version {condition.version}, this program writes {condition.newest}"
        found.append(advice("store", message, "(re)start the runner, which upgrades it"))
    if condition.wal_bytes > _LONG_WAL:
        message = f"its write-ahead log has grown to {condition.wal_bytes >> 20} MiB"
        readers = ", ".join(readers_of(shared_of(database_path(subject.state)).stat().st_ino))
        right = f"stop {readers}, which keeps the store open" if readers else _END_READERS
        found.append(warning("store", message, right))
    if condition.waiting > _MANY_WAITING or (condition.waiting and subject.pid is None):
        message = f"{condition.waiting} records wait in it for the monitor log"
        found.append(
            warning("store", message, "make the log writable; the runner then writes them")
        )
    yield from found or [
        good("store", f"it is intact, version {condition.version}, {condition.bytes >> 10} KiB")
    ]


def output_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report how many outputs are kept, how large they are, and whether a bound is near."""
    found, bounds = kept_outputs(outputs_folder(subject.state)).found, subject.output_bounds
    sizes = {execution: output.size for execution, output in found.items()}
    count, size = sum(output.files for output in found.values()), sum(sizes.values())
    kept = f"{count:,} outputs, {rough_size_text(size)}"
    allowed = f"{bounds.count:,} outputs or {rough_size_text(bounds.size)}"
    if count > _NEAR * bounds.count or size > _NEAR * bounds.size:
        message = f"{kept}{_largest(subject.store, sizes)}; beyond {allowed} the oldest go"
        right = "set `retention` of the largest requests, or `outputs` in runner.yaml"
        yield advice("outputs", message, right)
    else:
        yield good("outputs", f"{kept}; at most {allowed} are kept")


def _largest(store: StorePlace, sizes: Mapping[str, int]) -> str:
    """Return in words which request has the largest outputs."""
    with closing(read_store(store)) as reader:
        by_request = {
            row.request: sum(
                sizes.get(each.execution, 0) for each in reader.results_of(row.request)
            )
            for row in reader.last_results()
        }
    name = max(by_request, key=lambda each: by_request[each], default="")
    return f", {rough_size_text(by_request[name])} of them by {name}" if name else ""


def line_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether the log ends with a whole record. A live runner may be writing one
    right now.
    """
    if not subject.monitor_log.is_file():
        return
    with subject.monitor_log.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        end = os.pread(file.fileno(), _LONGEST_LINE, max(0, size - _LONGEST_LINE))
    if not size:
        yield good("log", "the monitor log is empty")
    elif not end.endswith(b"\n"):
        message, right = (
            "the last line of the monitor log is torn",
            "start the runner, which completes its own records",
        )
        yield (
            warning("log", message, right)
            if subject.pid is None
            else good("log", "the monitor log is being written")
        )
    elif decode(end[:-1].rpartition(b"\n")[2]) is None:
        yield warning(
            "log",
            "the last line of the monitor log is not a record",
            "let only the runner write to the log",
        )
    else:
        yield good("log", f"the last line of the monitor log is whole ({size >> 10} KiB)")


def rotation_findings(subject: Subject) -> Iterator[DoctorFinding]:
    """Report whether logrotate rotates the log by rename, which loses no line."""
    log = subject.monitor_log
    for place, body in _rotations(subject):
        if "copytruncate" in body.split():
            message = (
                f"{place} rotates the log by copytruncate, "
                "which loses the lines written during the copy"
            )
            yield warning(
                "rotation",
                message,
                "replace copytruncate with `create`; the runner notices a rename by itself",
            )
        else:
            yield good("rotation", f"{place} rotates the log by rename")
        return
    if log.is_file() and (size := log.stat().st_size) > _LARGE_LOG:
        message = f"the log has {size >> 20} MiB, and logrotate has no entry for it"
        yield advice(
            "rotation",
            message,
            f"rotate {log} by rename, with logrotate's `create` and `delaycompress`",
        )


def _rotations(subject: Subject) -> Iterator[tuple[Path, str]]:
    """Yield each logrotate file that names the log, with its directives for it
    (logrotate.conf(5)).
    """
    files = sorted(subject.logrotate.iterdir()) if is_folder(subject.logrotate) else []
    for file in (subject.logrotate.with_name("logrotate.conf"), *files):
        try:
            raw = read_regular(file, at_most=_LARGEST_CONFIGURATION)
            text = re.sub(r"(?m)^\s*#.*$", "", raw.decode(errors="replace"))
        except OSError:  # unreadable for us, or not a regular file
            continue
        for names, body in _BLOCK.findall(text):
            patterns = [name.strip("\"'") for name in names.split()]
            if any(fnmatch(str(subject.monitor_log), pattern) for pattern in patterns):
                yield file, body


def _parted(text: str) -> tuple[str, str]:
    """Split a store error into what is wrong and how to fix it."""
    what, _, right = text.partition("; ")
    return what, right or "check the folder and its permissions"


def _usable(zone: str) -> str:
    try:
        return zone_named(zone).key
    except RuleError:
        return "UTC"
