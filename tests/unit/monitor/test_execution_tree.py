"""Executions as trees: members, further attempts and follow-ups below what ran them."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from runner.monitor.execution_tree import trees_of

Record = dict[str, Any]


def record(name: str, request: str = "", **fields: Any) -> Record:
    """Return the finished record of an execution with that id."""
    return {
        "execution": name,
        "request": request or name,
        "process": request or name,
        "scheduled_for": "2026-03-01T12:00:00.000000Z",
        "started": f"2026-03-01T12:00:{ord(name[0]) - 64:02}.000000Z",
        **fields,
    }


STORY = [
    record("A", "open"),
    record("B", "close", follows="A", requested_by="on_success of open"),
    record("C", "close", process="close/extract", group="B", sequence=1),
    record("D", "close", process="close/extract", group="B", sequence=1, attempt=2),
    record("E", "close", process="close/load", group="B", sequence=2),
    record("F", "page", follows="B", requested_by="on_failure of close"),
    record("G", "alone"),
]
TREES = [
    [
        ("A", "open"),
        ("B", "└ close (on_success)"),
        ("C", "  └ extract"),
        ("D", "    └ extract (attempt 2)"),
        ("E", "  └ load"),
        ("F", "  └ page (on_failure)"),
    ],
    [("G", "alone")],
]


def shown(records: list[Record], *wanted: str) -> list[list[tuple[str, str]]]:
    trees = trees_of(records, lambda each: not wanted or each["execution"] in wanted)
    return [[(branch.record["execution"], branch.label) for branch in tree] for tree in trees]


def test_members_attempts_and_follow_ups_are_below_what_ran_them() -> None:
    assert shown(STORY) == TREES


@given(st.randoms())
def test_the_order_of_the_records_decides_only_the_order_of_the_trees(
    random: random.Random,
) -> None:
    """A member ends before its group, so its record comes first."""
    records = list(STORY)
    random.shuffle(records)
    assert sorted(shown(records)) == sorted(TREES)


def test_a_tree_is_shown_whole_if_any_of_its_executions_is_wanted() -> None:
    assert shown(STORY, "D") == TREES[:1]
    assert shown(STORY, "nothing") == []


def test_an_execution_whose_parent_is_not_known_is_a_root() -> None:
    assert shown(STORY[2:6]) == [
        [("C", "close › extract"), ("D", "└ extract (attempt 2)")],
        [("E", "close › load")],
        [("F", "page")],
    ]


def test_records_that_run_one_another_do_not_hang() -> None:
    malformed = [record("A", follows="B"), record("B", follows="A"), record("C", follows="C")]
    assert [[name for name, _ in tree] for tree in shown(malformed)] == [["C"]]
