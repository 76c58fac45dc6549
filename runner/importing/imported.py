"""The result of an import: requests as documents, and remarks on every difference. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from runner.errors import RuleError
from runner.timing.parsing import parse_rule

Data = dict[str, Any]
_LONGEST_NAME = 90  # of 100 characters allowed, so that `-2` and so on fit behind it
_NO_NAME_SIGN = re.compile(r"[^a-z0-9._-]+")
# The order of keys in a written file.
_ORDER = ("name", "description", "owner", "labels", "context", "scheduled", "process", "timing")


class Severity(StrEnum):
    """How serious a difference is."""

    CHANGED = "changed"
    """The request would run something else, or at other times.

    It is written unscheduled, or not at all.
    """
    DIFFERS = "differs"
    """The request runs as before, but an extra is lost (mail, metrics) or a rare case differs."""
    NOTE = "note"
    """The meaning is the same in another spelling, or the remark is only information."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """A remark on a line of the source. `request` is None if it concerns the whole file."""

    line: int
    severity: Severity
    message: str
    suggestion: str | None = None
    request: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One imported request.

    `data` is its document, None if no file is written. `excerpt` quotes the source.
    """

    name: str
    line: int
    excerpt: str
    data: Data | None
    remarks: tuple[Remark, ...] = ()

    def changed(self, message: str, suggestion: str | None = None) -> Imported:
        """Return the request unscheduled, with a remark that says why."""
        remark = Remark(
            line=self.line,
            severity=Severity.CHANGED,
            message=message,
            suggestion=suggestion,
            request=self.name,
        )
        data = None if self.data is None else {**self.data, "scheduled": False}
        return replace(self, data=_ordered(data) if data else None, remarks=(*self.remarks, remark))


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """All requests of a source; `remarks` concern the source as a whole."""

    requests: tuple[Imported, ...]
    remarks: tuple[Remark, ...] = ()

    def all_remarks(self) -> Iterator[Remark]:
        """Yield the remarks on the source, then those on each request."""
        yield from self.remarks
        for request in self.requests:
            yield from request.remarks

    @property
    def is_exact(self) -> bool:
        """Whether every request does the same as in the source; notes do not matter."""
        return all(remark.severity is Severity.NOTE for remark in self.all_remarks())


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportSettings:
    """Settings that the source itself does not contain.

    If `zone` is given, requests without a zone get it; otherwise the runner's own zone,
    `default_zone`, applies to them. `now` decides which clock changes are near.
    """

    default_zone: str
    now: datetime
    zone: str | None = None

    @property
    def timezone(self) -> Data:
        """The zone of a timing whose source names none."""
        return {"timezone": self.zone} if self.zone else {}

    def zone_remark(self, whose: str) -> Remark:
        """Return a remark on the zone that replaces the zone of `whose`."""
        if self.zone:
            message = f"each request without a zone of its own gets the zone {self.zone}"
            return Remark(line=1, severity=Severity.NOTE, message=message)
        message = (
            f"the source's times are in the zone of {whose};"
            f" here they are in the runner's zone (now {self.default_zone})"
        )
        suggestion = "if the two zones differ, import again with --timezone"
        return Remark(line=1, severity=Severity.NOTE, message=message, suggestion=suggestion)


@dataclass(slots=True, kw_only=True)
class Draft:
    """A request that an importer is still building."""

    line: int
    excerpt: str
    wanted_name: str
    data: Data = field(default_factory=dict)
    process: Data = field(default_factory=dict)
    is_written: bool = True
    remarks: list[Remark] = field(default_factory=list)

    def changed(
        self, message: str, suggestion: str | None = None, *, line: int | None = None
    ) -> None:
        """Add a remark on a change of meaning; the request will be unscheduled."""
        self._remark(Severity.CHANGED, message, suggestion, line)

    def differs(
        self, message: str, suggestion: str | None = None, *, line: int | None = None
    ) -> None:
        """Add a remark on a lost extra or a rare difference."""
        self._remark(Severity.DIFFERS, message, suggestion, line)

    def note(self, message: str, suggestion: str | None = None, *, line: int | None = None) -> None:
        """Add a remark that is only information."""
        self._remark(Severity.NOTE, message, suggestion, line)

    def _remark(
        self, severity: Severity, message: str, suggestion: str | None, line: int | None
    ) -> None:
        remark = Remark(
            line=line or self.line, severity=severity, message=message, suggestion=suggestion
        )
        if remark not in self.remarks:
            self.remarks.append(remark)

    def imported(self, name: str, default_zone: str) -> Imported:
        """Finish the request.

        A request whose meaning changed is unscheduled. A timing that can never fire is
        left out.
        """
        self._check_schedule(default_zone)
        if any(remark.severity is Severity.CHANGED for remark in self.remarks):
            self.data["scheduled"] = False
        data = {**self.data, "name": name, "process": self.process}
        return Imported(
            name=name,
            line=self.line,
            excerpt=self.excerpt,
            data=_ordered(data) if self.is_written else None,
            remarks=tuple(replace(remark, request=name) for remark in self.remarks),
        )

    def _check_schedule(self, default_zone: str) -> None:
        match self.data.get("timing"):
            case {"schedule": schedule}:
                try:
                    parse_rule(schedule, default_zone=default_zone)
                except RuleError as error:
                    self.changed(
                        f"its timing is left out: {error}", error.suggestion or "write a `timing`"
                    )
                    del self.data["timing"]


def _ordered(data: Data) -> Data:
    return {key: data[key] for key in _ORDER if key in data}


def name_of(text: str) -> str:
    """Return the request name nearest to a text; empty if no character of it is allowed.

    >>> name_of("Nightly Posting (ES)")
    'nightly-posting-es'
    """
    return _NO_NAME_SIGN.sub("-", text.lower()).strip("-._")[:_LONGEST_NAME].rstrip("-._")


def finished(drafts: list[Draft], remarks: list[Remark], settings: ImportSettings) -> Import:
    """Finish all drafts with unique names: the second `backup` becomes `backup-2`."""
    taken: set[str] = set()
    requests = []
    for draft in drafts:
        wanted = name_of(draft.wanted_name) or f"line-{draft.line}"
        name, number = wanted, 1
        while name in taken:
            number += 1
            name = f"{wanted}-{number}"
        taken.add(name)
        requests.append(draft.imported(name, settings.default_zone))
    return Import(requests=tuple(requests), remarks=tuple(remarks))
