"""Executions as trees: what ran because of what. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runner.monitor.names import name_in, who

Record = Mapping[str, Any]
_BRANCH = "└ "


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """An execution and its depth in its tree; the root has depth 0."""

    record: dict[str, Any]
    depth: int

    @property
    def label(self) -> str:
        """The name of the execution within its tree: below its root, why it ran."""
        if not self.depth:
            return who(self.record)
        name = who(self.record)
        if self.record.get("group"):
            name = name.removeprefix(f"{self.record['request']} › ")
        elif self.record.get("follows"):
            name = f"{name} ({str(self.record['requested_by']).partition(' ')[0]})"
        return f"{'  ' * (self.depth - 1)}{_BRANCH}{name}"


def trees_of(
    records: Iterable[dict[str, Any]], wanted: Callable[[dict[str, Any]], bool]
) -> list[list[Branch]]:
    """Return the trees with a wanted execution, in the order of their roots.

    A member is below its group, a further attempt below the first one, and a follow-up
    below the execution that it follows. An execution whose parent is not among the
    records is a root.
    """
    known = {str(record["execution"]): record for record in records}
    first_attempts = {
        _attempt_key(each): name for name, each in known.items() if not _further(each)
    }
    below: dict[str | None, list[str]] = defaultdict(list)
    for name, record in known.items():
        parent = first_attempts.get(_attempt_key(record)) if _further(record) else None
        parent = parent or record.get("group") or record.get("follows")
        below[parent if parent in known and parent != name else None].append(name)
    trees = [list(_tree(root, 0, known, below)) for root in below[None]]
    return [tree for tree in trees if any(wanted(branch.record) for branch in tree)]


def _tree(
    name: str,
    depth: int,
    known: Mapping[str, dict[str, Any]],
    below: Mapping[str | None, list[str]],
) -> Iterator[Branch]:
    yield Branch(record=known[name], depth=depth)
    for child in sorted(below.get(name, ()), key=lambda each: _order(known[each])):
        yield from _tree(child, depth + 1, known, below)


def _further(record: Record) -> bool:
    return (record.get("attempt") or 1) > 1


def _attempt_key(record: Record) -> tuple[object, ...]:
    names = ("group", "sequence", "follows", "generation", "scheduled_for")
    return name_in(record), *(record.get(name) for name in names)


def _order(record: Record) -> tuple[bool, int, str]:
    """Return a sort key: members in their order, then the rest by time."""
    return (
        record.get("group") is None,
        record.get("sequence") or 0,
        str(record.get("started") or record.get("ended")),
    )
