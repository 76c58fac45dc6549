"""From plain data that the schema accepts to a process request. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from runner.errors import RuleError
from runner.lifecycle import Misfire
from runner.requests.building.alert_keys import expect_of, routes_in
from runner.requests.building.document_part import Part
from runner.requests.building.process import process_of
from runner.requests.building.retention import retention_of
from runner.requests.dates import KEYS, dates_of, files_named, is_entry, listed_in, parse_entry
from runner.requests.findings import DataPath, Finding, value_at, without
from runner.requests.model import (
    Context,
    Process,
    ProcessRequest,
    RunImmediately,
    RunLater,
    Schedule,
    Source,
    Timing,
)
from runner.requests.schema.shipped import is_request
from runner.timing.calendars import NO_DATES, Dates, union
from runner.timing.parsing import parse_rule
from runner.timing.zones import kept_by_zone_data, parse_wall, zone_named

_GRACE = timedelta(seconds=60)
_SCHEDULE: DataPath = ("timing", "schedule")
_TIMINGS_KEPT = 1 << 12
_ANY_PROCESS = {"shell": ":"}
# Shared by all requests without any: nothing changes a value after it is built.
_NO_LABELS: dict[str, str] = {}
_NO_CONTEXT = Context()
_FOLDER = "_folder"
"""The suffix of the keys under which a definition keeps `RequestDraft.folders`."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


DatesByKey = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDraft:
    """The data of a document on its way to a request, and what the document refers to.

    `folder` is the absolute folder of its file. `dates` has the entries (`entries_in`) of
    the files that `except` and `only` name: by key, then by path as written. `folders`
    maps some keys of the process to the absolute folders that their paths are relative to
    instead. `stored` is the store's text that the draft came from, if any.
    """

    data: Mapping[str, Any]
    name: str
    folder: str
    source: Source
    dates: DatesByKey = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    stored: str = ""

    @property
    def definition(self) -> str:
        """The JSON text for the store: the stored text if there is one, byte for byte."""
        if self.stored:
            return self.stored
        parts = {
            "data": self.data,
            "name": self.name,
            "folder": self.folder,
            "file": self.source.file,
            "line": self.source.line,
            "sha256": self.source.sha256,
            **({"dates": self.dates} if self.dates else {}),
            **{f"{key}{_FOLDER}": folder for key, folder in self.folders.items()},
        }
        return _encode(parts)


def draft_from(definition: str) -> RequestDraft:
    """Return the draft of a `definition`.

    Raises ValueError, KeyError or TypeError for any other text.
    """
    parts = json.loads(definition)
    data, dates = parts["data"], parts.get("dates", {})
    for key, named, _ in files_named(value_at(data, _SCHEDULE), _SCHEDULE):
        dates_of(dates[key][named])
    return RequestDraft(
        data=data,
        name=parts["name"],
        folder=parts["folder"],
        source=Source(file=parts["file"], line=parts["line"], sha256=parts["sha256"]),
        dates=dates,
        folders={
            key.removesuffix(_FOLDER): folder
            for key, folder in parts.items()
            if key.endswith(_FOLDER)
        },
        stored=definition,
    )


def queues_named_in(definition: str) -> frozenset[str]:
    """Return the queues that the process in a `definition`, or a member of it, names."""
    # Almost no text has the key, and to read one takes a hundred times as long.
    if '"queue"' not in definition:
        return frozenset()
    return frozenset(_queues_in(json.loads(definition)["data"]["process"]))


def _queues_in(process: Mapping[str, Any]) -> Iterator[str]:
    if "queue" in process:
        yield process["queue"]
    for member in process.get("group", {}).get("members", ()):
        yield from _queues_in(member)


def built(
    draft: RequestDraft, *, default_zone: str, spoiled: frozenset[DataPath] = frozenset()
) -> tuple[ProcessRequest | None, tuple[Finding, ...]]:
    """Build a request, or return what is wrong with its well-formed values.

    The values at `spoiled` paths are wrong already. They are left out, and so is each
    value found wrong here, until a pass finds nothing new. So one wrong value does not
    hide another.
    """
    findings: list[Finding] = []
    while True:
        request, found = _attempt(_without(draft, spoiled), default_zone)
        further = [finding for finding in found if finding.path not in spoiled]
        if not further:
            return None if spoiled else request, tuple(findings)
        findings.extend(further)
        spoiled |= {finding.path for finding in further}


def _without(draft: RequestDraft, spoiled: frozenset[DataPath]) -> RequestDraft:
    """Drop the spoiled values.

    If the rest is no valid request, drop all of the `process` or `timing` around them.
    """
    if not spoiled:
        return draft
    rest = without(draft.data, spoiled)
    if not is_request(rest):
        rest = without(draft.data, {path[:1] for path in spoiled if path})
        # Beyond `MOST_FINDINGS` more is wrong than `spoiled` names.
        rest = rest if is_request({"process": _ANY_PROCESS, **rest}) else {}
    return replace(draft, data=rest)


def _attempt(
    draft: RequestDraft, default_zone: str
) -> tuple[ProcessRequest | None, tuple[Finding, ...]]:
    """Build once; return a request or findings, never both."""
    findings: list[Finding] = []
    whole = Part(data=draft.data, path=(), findings=findings)
    process = timing = None
    if "process" in draft.data:
        process = process_of(
            whole.below("process"), request=draft.name, folder=draft.folder, folders=draft.folders
        )
    timing = _timing(whole, default_zone, draft.dates)
    further = {
        "retention": retention_of(whole),
        "expect": expect_of(whole),
        "notify": routes_in(whole),
    }
    if process is None or findings:
        return None, tuple(dict.fromkeys(findings))
    return _request(draft, process, timing, further), ()


def _request(
    draft: RequestDraft, process: Process, timing: Timing | None, further: Mapping[str, Any]
) -> ProcessRequest:
    data = draft.data
    reschedule = data.get("reschedule")
    return ProcessRequest(
        name=draft.name,
        process=process,
        timing=timing,
        source=Source(
            file=draft.source.file,
            line=draft.source.line,
            sha256=draft.source.sha256,
            definition=draft.definition,
        ),
        description=data.get("description"),
        owner=data.get("owner"),
        labels=data.get("labels", _NO_LABELS),
        context=Context(**data["context"]) if "context" in data else _NO_CONTEXT,
        scheduled=data.get("scheduled", True),
        reschedule=None if reschedule is None else str(reschedule),
        formerly=data.get("formerly"),
        on_success=data.get("on_success", {}).get("request"),
        on_failure=data.get("on_failure", {}).get("request"),
        unschedule_after=data.get("on_failure", {}).get("unschedule_after"),
        ping=data.get("ping", {}).get("url_variable"),
        **further,
    )


def timing_text(definition: str) -> tuple[str, str] | None:
    """Return the texts from which `timing_in` builds the timing of a definition, if it has one."""
    parts = json.loads(definition)
    data, dates = parts["data"].get("timing"), parts.get("dates")
    return None if data is None else (_encode(data), _encode(dates) if dates else "{}")


class _WrongTimingError(Exception):
    """A timing cannot be built; `findings` say why."""

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__()
        self.findings = findings


def _timing(whole: Part, default_zone: str, dates: DatesByKey) -> Timing | None:
    data = whole.data.get("timing")
    if data is None:
        return None
    try:
        return timing_in(_encode(data), default_zone, _encode(dates) if dates else "{}")
    except _WrongTimingError as wrong:
        whole.findings.extend(wrong.findings)
        return None


@kept_by_zone_data(maxsize=_TIMINGS_KEPT)
def timing_in(text: str, default_zone: str, dates: str) -> Timing:
    """Return the timing in a JSON text, with the dates in another, cached by these texts.

    Finding the first fire is the slow part, and many requests share a timing. Raises
    _WrongTimingError, which is not cached: a zone that is missing may appear.
    """
    findings: list[Finding] = []
    whole = Part(data={"timing": json.loads(text)}, path=(), findings=findings)
    timing = _timing_of(whole, default_zone, json.loads(dates))
    if timing is None or findings:
        raise _WrongTimingError(findings)
    return timing


def _timing_of(whole: Part, default_zone: str, dates: DatesByKey) -> Timing | None:
    match whole.data["timing"]:
        case "run_immediately" | {"run_immediately": _}:
            return RunImmediately()
        case {"run_later": _}:
            return _run_later(whole.below("timing", "run_later"), default_zone)
        case {"schedule": _}:
            return _schedule(whole.below("timing", "schedule"), default_zone, dates)
    raise AssertionError("the schema let an unknown timing pass")


def _run_later(part: Part, default_zone: str) -> RunLater | None:
    zone = part.data.get("timezone", default_zone)
    grace = part.duration("misfire_grace", _GRACE, above_zero=True)
    try:
        start = parse_wall(part.data["start"], zone_named(zone), field=("run_later", "start"))
    except RuleError as error:
        _find(part, error, "timezone")
        return None
    misfire = Misfire(part.data.get("misfire", Misfire.FIRE_ONCE))
    return RunLater(start=start, zone=zone, misfire=misfire, misfire_grace=grace)


def _schedule(part: Part, default_zone: str, dates: DatesByKey) -> Schedule | None:
    spread = part.duration("spread", timedelta())
    grace = part.duration("misfire_grace", _GRACE, above_zero=True)
    excepted, only = (_dates(key, part, dates.get(key, {})) for key in KEYS)
    try:
        rule = parse_rule(
            part.data,
            default_zone=default_zone,
            excepted=excepted or NO_DATES,
            only=only,
        )
    except RuleError as error:
        _find(part, error)
        return None
    misfire = Misfire(part.data.get("misfire", Misfire.SKIP))
    return Schedule(rule=rule, spread=spread, misfire=misfire, misfire_grace=grace)


def _find(part: Part, error: RuleError, *otherwise: str) -> None:
    """Add a rule's error; its field is a path from `timing` down."""
    part.find(error.field[1:] if error.field else otherwise, str(error), error.suggestion)


def _dates(key: str, part: Part, of_files: Mapping[str, str]) -> Dates | None:
    """Return the dates of `except` or `only`, from the value itself and from its files.

    None if there is no such value, or if any of its dates are wrong.
    """
    found, is_whole = [], key in part.data
    for index, text in listed_in(part.data.get(key)):
        if not is_entry(text):
            is_whole = is_whole and text in of_files
            found.append(dates_of(of_files.get(text, "")))
            continue
        try:
            found.append(parse_entry(text))
        except ValueError as error:
            is_whole = False
            part.find((key,) if index is None else (key, index), str(error))
    if not is_whole:
        return None
    return union(found) if len(found) > 1 else next(iter(found), NO_DATES)
