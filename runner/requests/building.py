"""From plain data that the schema accepts to a process request. Pure."""

from __future__ import annotations

import json
import os.path
import signal
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from runner.errors import RuleError
from runner.lifecycle import Misfire
from runner.requests.excepted import parse_date
from runner.requests.findings import DataPath, Finding, lies_below, nearest, shown
from runner.requests.model import (
    Action,
    Command,
    Context,
    Process,
    ProcessRequest,
    Reference,
    RunImmediately,
    RunLater,
    Schedule,
    Shell,
    Source,
    Timing,
)
from runner.timing.parsing import parse_rule
from runner.timing.rules import Rule
from runner.timing.zones import parse_wall, zone_named
from runner.values import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

_GRACE = timedelta(seconds=60)
_RULES_KEPT = 1 << 12
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A document on its way to a request: its data, and what lies outside of it.

    `folder` is the absolute folder of its file, `excepted` the dates of the file that `except` names, if it names one,
    and `stored` the text from the store that it comes from, if it does.
    """

    data: Mapping[str, Any]
    name: str
    folder: str
    source: Source
    excepted: frozenset[date] | None = None
    stored: str = ""

    @property
    def definition(self) -> str:
        """The JSON text for the store: the very one that it was read from, if it was."""
        if self.stored:
            return self.stored
        parts = {
            "data": self.data,
            "name": self.name,
            "folder": self.folder,
            "file": self.source.file,
            "line": self.source.line,
            "sha256": self.source.sha256,
            "excepted": None if self.excepted is None else sorted(map(date.isoformat, self.excepted)),
        }
        return _encode(parts)


def draft_from(definition: str) -> Draft:
    """Return the draft whose `definition` this is. Raises ValueError, KeyError or TypeError for any other text."""
    parts = json.loads(definition)
    dates = parts["excepted"]
    return Draft(
        data=parts["data"],
        name=parts["name"],
        folder=parts["folder"],
        source=Source(file=parts["file"], line=parts["line"], sha256=parts["sha256"]),
        excepted=None if dates is None else frozenset(map(date.fromisoformat, dates)),
        stored=definition,
    )


def built(
    draft: Draft, *, default_zone: str, spoiled: frozenset[DataPath] = frozenset()
) -> tuple[ProcessRequest | None, tuple[Finding, ...]]:
    """Build a request, or tell what is wrong with values that are well-formed.

    Top-level keys at or below which something else is wrong already are `spoiled`: nothing is built of them, but
    problems in the others are found.
    """
    builder = _Building(draft, default_zone)
    tops = {path[:1] for path in spoiled}
    process = builder.process() if not lies_below(("process",), tops) else None
    timing = builder.timing() if not lies_below(("timing",), tops) else None
    if process is None or spoiled or builder.findings:
        return None, tuple(builder.findings)
    return _request(draft, process, timing), ()


def _request(draft: Draft, process: Process, timing: Timing | None) -> ProcessRequest:
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
        labels=data.get("labels", {}),
        context=Context(**data["context"]) if "context" in data else Context(),
        scheduled=data.get("scheduled", True),
        reschedule=None if reschedule is None else str(reschedule),
    )


class _Building:
    """Builds the parts of one request and collects what is wrong on the way."""

    def __init__(self, draft: Draft, default_zone: str) -> None:
        self.findings: list[Finding] = []
        self._draft = draft
        self._default_zone = default_zone

    def process(self) -> Process:
        data, path = self._draft.data["process"], ("process",)
        if "request" in data:
            self._refuse_beside_reference(data)
        return Process(
            name=data.get("name", self._draft.name),
            action=_action(data),
            directory=self._directory(data),
            environment=data.get("environment", {}),
            prevent_concurrent=data.get("prevent_concurrent", False),
            timeout=self._duration(data, path, "timeout", above_zero=True) if "timeout" in data else None,
            stop_signal=self._signal(data),
            stop_grace=self._duration(data, path, "stop_grace", default=timedelta(seconds=10)),
        )

    def timing(self) -> Timing | None:
        match self._draft.data.get("timing"):
            case None:
                return None
            case "run_immediately" | {"run_immediately": _}:
                return RunImmediately()
            case {"run_later": data}:
                return self._run_later(data)
            case {"schedule": data}:
                return self._schedule(data)
        raise AssertionError("the schema let an unknown timing pass")

    def _refuse_beside_reference(self, data: Mapping[str, Any]) -> None:
        """A referred process runs as its own request says; a second word on it would have to be ignored."""
        for key in data.keys() - {"request"}:
            suggestion = f"set it where the process is defined, in `{data['request']}`"
            self._find(("process", key), f"`{key}` beside `request` is not supported yet", suggestion)

    def _directory(self, data: Mapping[str, Any]) -> str:
        # Neither `..` nor a link is resolved here: what they mean is settled when the process starts.
        directory = os.path.join(self._draft.folder, data.get("directory", ""))  # noqa: PTH118
        parts = [part for part in directory.split("/") if part not in {"", "."}]
        return f"/{'/'.join(parts)}"

    def _signal(self, data: Mapping[str, Any]) -> int:
        name = data.get("stop_signal", "TERM")
        try:
            return signal.Signals[f"SIG{name.removeprefix('SIG')}"]
        except KeyError:
            names = [each.name.removeprefix("SIG") for each in signal.Signals]
            suggestion = nearest(name.removeprefix("SIG"), names) or "for example INT"
            self._find(("process", "stop_signal"), f"there is no signal {shown(name)}", suggestion)
            return signal.SIGTERM

    def _run_later(self, data: Mapping[str, Any]) -> RunLater | None:
        path = ("timing", "run_later")
        zone = data.get("timezone", self._default_zone)
        grace = self._duration(data, path, "misfire_grace", default=_GRACE, above_zero=True)
        try:
            start = parse_wall(data["start"], zone_named(zone), field=("run_later", "start"))
        except RuleError as error:
            self._find(("timing", *(error.field or ("run_later", "timezone"))), str(error), error.suggestion)
            return None
        misfire = Misfire(data.get("misfire", Misfire.FIRE_ONCE))
        return RunLater(start=start, zone=zone, misfire=misfire, misfire_grace=grace)

    def _schedule(self, data: Mapping[str, Any]) -> Schedule | None:
        path = ("timing", "schedule")
        spread = self._duration(data, path, "spread", default=timedelta())
        grace = self._duration(data, path, "misfire_grace", default=_GRACE, above_zero=True)
        excepted = self._excepted(data)
        try:
            rule = _rule(_encode(data), self._default_zone, excepted)
        except RuleError as error:
            self._find(("timing", *(error.field or ("schedule",))), str(error), error.suggestion)
            return None
        misfire = Misfire(data.get("misfire", Misfire.SKIP))
        return Schedule(rule=rule, spread=spread, misfire=misfire, misfire_grace=grace)

    def _excepted(self, data: Mapping[str, Any]) -> frozenset[date]:
        listed = data.get("except", [])
        if isinstance(listed, str):
            return self._draft.excepted or frozenset()
        dates = set()
        for index, text in enumerate(listed):
            try:
                dates.add(parse_date(text))
            except ValueError as error:
                self._find(("timing", "schedule", "except", index), str(error), None)
        return frozenset(dates)

    def _duration(
        self, data: Mapping[str, Any], path: DataPath, key: str, *,
        default: timedelta = _GRACE, above_zero: bool = False,
    ) -> timedelta:  # fmt: skip
        if key not in data:
            return default
        try:
            duration = parse_duration(data[key])
        except ValueError as error:
            self._find((*path, key), str(error), None)
            return default
        if above_zero and not duration:
            self._find((*path, key), f"`{key}` should be longer than nothing", None)
        return duration

    def _find(self, path: DataPath, message: str, suggestion: str | None) -> None:
        self.findings.append(Finding(path=path, message=message, suggestion=suggestion))


@lru_cache(maxsize=_RULES_KEPT)
def _rule(schedule: str, default_zone: str, excepted: frozenset[date]) -> Rule:
    """Return the rule of a schedule, one for all that are written alike: to look for its first fire takes longest."""
    return parse_rule(json.loads(schedule), default_zone=default_zone, excepted=excepted)


def _action(data: Mapping[str, Any]) -> Action:
    match data:
        case {"command": arguments}:
            return Command(arguments=tuple(arguments))
        case {"shell": line}:
            return Shell(line=line)
        case {"request": name}:
            return Reference(request=name)
    raise AssertionError("the schema let a process without an action pass")
