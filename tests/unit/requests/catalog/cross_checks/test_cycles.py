"""Cycles among names, compared with a naive search that follows every reference."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.requests.catalog.cross_checks.cycles import cycles_in, path_between

graphs = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefgh"), max_size=3), max_size=6
)


def reached(name: str, targets: Mapping[str, list[str]]) -> set[str]:
    """Return all names that at least one reference leads to."""
    found: set[str] = set()
    ahead = list(targets.get(name, ()))
    while ahead:
        target = ahead.pop()
        if target not in found:
            found.add(target)
            ahead.extend(targets.get(target, ()))
    return found


@settings(max_examples=100)
@given(graphs)
def test_a_cycle_contains_all_names_that_reach_one_another(targets: dict[str, list[str]]) -> None:
    expected = {
        frozenset(other for other in reached(name, targets) if name in reached(other, targets))
        for name in targets
        if name in reached(name, targets)
    }
    found = list(cycles_in(targets))
    assert len(found) == len(expected)
    assert set(found) == expected


@settings(max_examples=50)
@given(graphs)
def test_each_step_of_a_path_is_a_reference(targets: dict[str, list[str]]) -> None:
    for cycle in cycles_in(targets):
        for start in cycle:
            for goal in cycle:
                way = path_between(start, goal, targets, cycle)
                assert (way[0], way[-1]) == (start, goal)
                assert all(after in targets[before] for before, after in pairwise(way))
                assert len(set(way)) == len(way)


def test_a_long_chain_and_a_large_cycle_need_no_recursion() -> None:
    chain = {str(number): [str(number + 1)] for number in range(20_000)}
    assert not list(cycles_in(chain))
    assert [len(cycle) for cycle in cycles_in({**chain, "20000": ["0"]})] == [20_001]
