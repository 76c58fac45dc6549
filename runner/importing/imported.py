"""What an import yields: requests as documents, and remarks on all that could not be
carried over. Pure.
"""

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
_LONGEST_NAME = 90
_NO_NAME_SIGN = re.compile(r"[^a-z0-9._-]+")
_ORDER = ("name", "description", "owner", "labels", "context", "scheduled", "process", "timing")


class Severity(StrEnum):
    """How much a remark weighs.

    `changed`: what runs, or when, would not be the same; the request is written
    unscheduled, or not at all. `differs`: it runs as it did, but something beside it is
    lost (mail, metrics) or is otherwise on rare occasions. `note`: the same thing,
    spelled otherwise, or something to know.
    """

    CHANGED = "changed"
    DIFFERS = "differs"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One thing to know about a line of the source; `request` is the one it is about,
    None for the whole file.
    """

    line: int
    severity: Severity
    message: str
    suggestion: str | None = None
    request: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One request. `data` is its document, None if there is none to be written;
    `excerpt` what the source said.
    """

    name: str
    line: int
    excerpt: str
    data: Data | None
    remarks: tuple[Remark, ...] = ()

    def changed(self, message: str, suggestion: str | None = None) -> Imported:
        """Return it unscheduled, with a remark that says why."""
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
    """All that a source held; `remarks` are those about the source as a whole."""

    requests: tuple[Imported, ...]
    remarks: tuple[Remark, ...] = ()

    def all_remarks(self) -> Iterator[Remark]:
        """Yield the remarks on the source, then those on each request."""
        yield from self.remarks
        for request in self.requests:
            yield from request.remarks


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the source does not say: `zone` is written into requests that name none, if it is given.

    `default_zone` is the runner's, which holds where none is written; `now` tells which
    clock changes are near.
    """

    default_zone: str
    now: datetime
    zone: str | None = None

    @property
    def timezone(self) -> Data:
        """What a timing says of its zone when the source says nothing."""
        return {"timezone": self.zone} if self.zone else {}

    def zone_remark(self, whose: str) -> Remark:
        """Tell which zone holds where the source used that of `whose`."""
        if self.zone:
            message = f"the zone {self.zone} is written into each request that names none"
            return Remark(line=1, severity=Severity.NOTE, message=message)
        message = f"times are those of {whose}; here they are in the runner's zone ({self.default_zone} now)"
        suggestion = "where that is another one, import again with --timezone"
        return Remark(line=1, severity=Severity.NOTE, message=message, suggestion=suggestion)


@dataclass(slots=True, kw_only=True)
class Draft:
    """A request in the making."""

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
        """Remark on what would make it another thing: the request will be unscheduled."""
        self._remark(Severity.CHANGED, message, suggestion, line)

    def differs(
        self, message: str, suggestion: str | None = None, *, line: int | None = None
    ) -> None:
        """Remark on what is lost or otherwise beside it."""
        self._remark(Severity.DIFFERS, message, suggestion, line)

    def note(self, message: str, suggestion: str | None = None, *, line: int | None = None) -> None:
        """Remark on what is only good to know."""
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
        """Finish it: what has changed its meaning is not scheduled, and what can never
        fire has no timing.
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
                        f"it has no timing here: {error}", error.suggestion or "write a `timing`"
                    )
                    del self.data["timing"]


def _ordered(data: Data) -> Data:
    return {key: data[key] for key in _ORDER if key in data}


def name_of(text: str) -> str:
    """Return the request name nearest to a text; empty if none of its signs can be in a name.

    >>> name_of("Nightly Posting (ES)")
    'nightly-posting-es'
    """
    return _NO_NAME_SIGN.sub("-", text.lower()).strip("-._")[:_LONGEST_NAME].rstrip("-._")


def finished(drafts: list[Draft], remarks: list[Remark], settings: Settings) -> Import:
    """Give each draft a name of its own: the second `backup` is `backup-2`."""
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
