"""The difference of two catalogs: what a reload changes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from runner.requests.model import ProcessRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Names added and removed, and for each changed name the fields that differ, all in order."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def difference(old: Mapping[str, ProcessRequest], new: Mapping[str, ProcessRequest]) -> Difference:
    """Compare two sets of requests by name. Where a definition stands counts only as the field "file"."""
    # Of many requests few are not the very same value: only those are looked into.
    others = sorted(name for name, request in new.items() if name in old and old[name] is not request)
    changed = ((name, changed_fields(old[name], new[name])) for name in others)
    return Difference(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple((name, names) for name, names in changed if names),
    )


def changed_fields(old: ProcessRequest, new: ProcessRequest) -> tuple[str, ...]:
    """Return the names of the top-level fields in which two versions of a request differ."""
    if old is new:
        return ()
    names = [
        field.name
        for field in fields(ProcessRequest)
        if field.name != "source" and getattr(old, field.name) != getattr(new, field.name)
    ]
    if old.source.file != new.source.file:
        names.append("file")
    return tuple(names)
