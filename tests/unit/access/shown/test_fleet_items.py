"""What people read about the nodes of a fleet."""

from __future__ import annotations

from runner.access.shown.fleet_items import fleet_item, fleet_rows
from runner.store.rows import Fleet, NodeRow

START = NodeRow(
    name="one", kind="start", instance="i", version="1", silent_s=1.0, clock_offset_s=0.1,
    queues=(), concurrency=None, executions=0, is_draining=False, log_seq=7,
)  # fmt: skip
WORK = START._replace(kind="work", queues=("default",), concurrency=4, executions=2)


def rows(*nodes: NodeRow, leader: str | None = "one") -> list[tuple[str, str, str]]:
    return fleet_rows(fleet_item(Fleet(leader=leader, epoch=1, record=7, now=0.0, nodes=nodes)))


def test_the_leader_comes_first_then_standbys_then_workers() -> None:
    two, away = START._replace(name="two"), START._replace(name="away", silent_s=90.0)
    assert rows(WORK, two, away, START) == [
        ("leader", "one", ""),
        ("standby", "away", "last seen 1m30s ago"),
        ("standby", "two", ""),
        ("worker", "one", "2 of 4 executions; queue default"),
    ]


def test_without_a_leader_every_node_that_can_lead_stands_by() -> None:
    assert rows(START, leader=None) == [("standby", "one", "")]


def test_a_leader_is_seen_by_its_lease() -> None:
    assert rows(START._replace(silent_s=1000.0)) == [("leader", "one", "")]


def test_what_is_unusual_about_a_node_is_said() -> None:
    busy = WORK._replace(queues=("a", "b"), is_draining=True)
    wrong = START._replace(name="two", clock_offset_s=-3.25)
    gone = START._replace(name="gone", silent_s=40 * 86400.0)
    assert rows(busy, wrong, gone) == [
        (
            "standby",
            "gone",
            "no longer registered: no record is kept for its log; last seen 40d ago",
        ),
        ("standby", "two", "its clock is off by 3.2 s"),
        ("worker", "one", "2 of 4 executions; queues a, b; takes nothing new"),
    ]
