"""Cycles among names that refer to names. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    Targets = Mapping[str, Collection[str]]


def cycles_in(targets: Targets) -> Iterator[frozenset[str]]:
    """Yield each set of names that refer to one another in a cycle (strongly connected).

    A name that refers to itself is a cycle of one. Tarjan's algorithm ("Depth-first
    search and linear graph algorithms", 1972), iterative because a chain of references
    may exceed Python's recursion limit. Each name and each reference is visited once.

    >>> targets = {"a": ["b"], "b": ["a", "c"], "c": ["d"], "e": ["e"]}
    >>> [sorted(cycle) for cycle in cycles_in(targets)]
    [['a', 'b'], ['e']]
    """
    # Name to the lowest visiting number reachable from it (Tarjan's "lowlink").
    lowest: dict[str, int] = {}
    # Visited names whose component is still incomplete (Tarjan's stack).
    open_names: list[str] = []
    settled: set[str] = set()
    for root in targets:
        if root in lowest:
            continue
        way = [_entered(root, targets, lowest, open_names)]
        while way:
            name, number, leads = way[-1]
            for target in leads:
                if target not in targets or target in settled:
                    continue
                if target not in lowest:
                    way.append(_entered(target, targets, lowest, open_names))
                    break
                lowest[name] = min(lowest[name], lowest[target])
            else:
                way.pop()
                if way:
                    above = way[-1][0]
                    lowest[above] = min(lowest[above], lowest[name])
                # `name` reaches no older name: it is the root of its component.
                if lowest[name] == number:
                    cycle = _closed(name, open_names)
                    settled |= cycle
                    if len(cycle) > 1 or name in targets[name]:
                        yield cycle


def _entered(
    name: str, targets: Targets, lowest: dict[str, int], open_names: list[str]
) -> tuple[str, int, Iterator[str]]:
    """Number a name, put it on the stack and return its frame: name, number, references."""
    number = lowest[name] = len(lowest)
    open_names.append(name)
    return name, number, iter(targets[name])


def _closed(name: str, open_names: list[str]) -> frozenset[str]:
    """Pop and return `name` and all names visited after it."""
    at = len(open_names) - 1
    while open_names[at] != name:
        at -= 1
    cycle = frozenset(open_names[at:])
    del open_names[at:]
    return cycle


def path_between(start: str, goal: str, targets: Targets, within: frozenset[str]) -> list[str]:
    """Return a shortest path between two names of a cycle, both ends included.

    Breadth first: `ways` grows while the loop walks it.

    >>> path_between("a", "c", {"a": ["b", "c"], "b": ["c"], "c": ["a"]}, frozenset("abc"))
    ['a', 'c']
    """
    ways = [[start]]
    seen = {start}
    for way in ways:
        if way[-1] == goal:
            return way
        for target in targets[way[-1]]:
            if target in within and target not in seen:
                seen.add(target)
                ways.append([*way, target])
    raise AssertionError(f"{start} does not lead to {goal}: not in one cycle")
