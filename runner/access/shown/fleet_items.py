"""The nodes of a fleet as `status` shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from runner.store.rows import KEPT_DAYS, Fleet, NodeRow
from runner.values import duration_text

_AWAY_S = 15.0
"""A node that has been silent for longer has probably ended."""
_CLOCK_OFFSET_S = 2.0
"""A clock that is off by more is reported."""


def fleet_item(fleet: Fleet) -> dict[str, Any]:
    """Return who leads, and the nodes by role and name, for JSON."""
    nodes = [_node_item(each, fleet.leader) for each in fleet.nodes]
    return {"leader": fleet.leader, "nodes": sorted(nodes, key=_place)}


def fleet_rows(item: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the nodes of `fleet_item` as rows: the role, the name, and what is known."""
    return [(each["role"], each["node"], _node_words(each)) for each in item["nodes"]]


def _node_item(node: NodeRow, leader: str | None) -> dict[str, Any]:
    is_worker = node.kind == "work"
    role = "worker" if is_worker else "leader" if node.name == leader else "standby"
    common = {
        "node": node.name,
        "role": role,
        "version": node.version,
        # The leader's sign of life is its lease.
        "silent_s": 0.0 if role == "leader" else round(node.silent_s, 3),
    }
    if not is_worker:
        return common | {"clock_offset_s": round(node.clock_offset_s, 3), "record": node.log_seq}
    return common | {
        "queues": node.queues,
        "executions": node.executions,
        "concurrency": node.concurrency,
        "draining": node.is_draining,
    }


def _place(item: Mapping[str, Any]) -> tuple[int, str]:
    return ("leader", "standby", "worker").index(item["role"]), item["node"]


def _node_words(item: Mapping[str, Any]) -> str:
    silent_s, parts = item["silent_s"], []
    if item["role"] == "worker":
        parts.append(f"{item['executions']} of {item['concurrency']} executions")
        queues = item["queues"]
        parts.append(f"{'queue' if len(queues) == 1 else 'queues'} {', '.join(queues)}")
        if item["draining"]:
            parts.append("takes nothing new")
    elif abs(item["clock_offset_s"]) > _CLOCK_OFFSET_S:
        parts.append(f"its clock is off by {abs(item['clock_offset_s']):.1f} s")
    if silent_s > KEPT_DAYS * 86400 and item["role"] == "standby":
        parts.append("no longer registered: no record is kept for its log")
    if silent_s > _AWAY_S:
        parts.append(f"last seen {duration_text(timedelta(seconds=int(silent_s)))} ago")
    return "; ".join(parts)
