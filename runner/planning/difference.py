"""Compare two catalogs: what a reload changes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Generator, Mapping
from dataclasses import dataclass
from dataclasses import fields as fields_of

from runner.requests.model import ProcessRequest

_BETWEEN_YIELDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Added and removed names, and the fields that differ by changed name, all sorted."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def touched(
    old: Mapping[str, ProcessRequest], new: Mapping[str, ProcessRequest]
) -> Generator[None, None, frozenset[str]]:
    """Return the names that only one side has, or whose values are not the same object.

    Yields after every thousand names, so that the loop can do other work in between.
    """
    names = set()
    for count, (name, request) in enumerate(new.items()):
        if old.get(name) is not request:
            names.add(name)
        if count % _BETWEEN_YIELDS == 0:
            yield
    if len(new) - sum(name not in old for name in names) < len(old):
        for count, name in enumerate(old):
            if name not in new:
                names.add(name)
            if count % _BETWEEN_YIELDS == 0:
                yield
    return frozenset(names)


def difference(
    old: Mapping[str, ProcessRequest],
    new: Mapping[str, ProcessRequest],
    among: Collection[str] | None = None,
) -> Difference:
    """Compare two sets of requests by name.

    Another position in its file is no difference; another file is one, as the field
    "file". If `among` is given, the caller knows that all other names are unchanged.
    """
    if among is None:
        # Most requests of a large catalog are the same objects: do not sort and compare them.
        among = {name for name, request in new.items() if old.get(name) is not request}
        among |= {name for name in old if name not in new}
    names = sorted(among)
    changed = (
        (name, changed_fields(old[name], new[name]))
        for name in names
        if name in old and name in new
    )
    return Difference(
        added=tuple(name for name in names if name in new and name not in old),
        removed=tuple(name for name in names if name in old and name not in new),
        changed=tuple((name, fields) for name, fields in changed if fields),
    )


def changed_fields(old: ProcessRequest, new: ProcessRequest) -> tuple[str, ...]:
    """Return the names of the top-level fields in which two versions of a request differ."""
    if old is new:
        return ()
    names = [
        field.name
        for field in fields_of(ProcessRequest)
        if field.name != "source" and getattr(old, field.name) != getattr(new, field.name)
    ]
    if old.source.file != new.source.file:
        names.append("file")
    return tuple(names)
