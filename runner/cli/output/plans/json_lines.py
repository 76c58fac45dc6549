"""A plan for programs: one JSON object per line, whose `kind` says what it describes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from runner.cli.output.plans import Shown, words
from runner.cli.output.tables import json_line
from runner.planning.fires.firing import Miss
from runner.planning.forecast.simulation import Rush
from runner.planning.retention import NOTHING_DELETED
from runner.planning.views.plan import NextFires, PlanStep
from runner.requests.catalog.catalog import Rejection
from runner.values import instant_text


def lines(shown: Shown) -> Iterator[str]:
    """Yield the requests, the rejected files, the collisions, and a summary line."""
    yield from (json_line(_step(step, shown)) for step in shown.plan.steps)
    yield from (json_line(_rejection(rejection, shown)) for rejection in shown.plan.rejections)
    for collision in shown.plan.crowding.collisions:
        yield json_line({"kind": "collision", **asdict(collision)})
    yield json_line(
        {
            "kind": "summary",
            "jobs": shown.jobs,
            "against": shown.against,
            "differs": shown.plan.differs,
            "kept_whole": shown.plan.is_kept_whole,
            "requests": len(shown.plan.requests),
            "outputs_deleted": sum(each.outputs for each in shown.plan.deleted.values()),
            "output_bytes_deleted": sum(each.size for each in shown.plan.deleted.values()),
            "busiest_before": _rush(shown.plan.crowding.before),
            "busiest": _rush(shown.plan.crowding.after),
        }
    )


def _step(step: PlanStep, shown: Shown) -> dict[str, Any]:
    deleted = shown.plan.deleted.get(step.name, NOTHING_DELETED)
    return {
        "kind": step.kind,
        "request": step.name,
        "formerly": step.renamed_from,
        "looks_like": step.looks_like,
        "request_file": step.request.source.file,
        "fields": [asdict(each) for each in step.alterations],
        "chains": list(step.chains.shown),
        "chains_count": step.chains.count,
        "events": [f"request.{change}" for change in step.events],
        "status_before": step.before and step.before.status,
        "status": step.after and step.after.status,
        "zone": words.zone_of(step, shown),
        "next_before": _fires(step.before),
        "next": _fires(step.after),
        "next_moved": list(step.after.moved) if step.after else [],
        "runs": [{"scheduled_for": fire, "message": words.run(step, fire)} for fire in step.runs],
        "cautions": [asdict(each) for each in step.cautions],
        "missed": [_miss(miss) for miss in step.missed],
        "held": [_miss(miss) for miss in step.held],
        "outputs_deleted": deleted.outputs,
        "output_bytes_deleted": deleted.size,
    }


def _fires(next_fires: NextFires | None) -> list[str]:
    return list(map(instant_text, next_fires.fires)) if next_fires else []


def _miss(miss: Miss) -> dict[str, Any]:
    return {"missed_count": miss.count, "missed_from": miss.first, "missed_until": miss.last}


def _rejection(rejection: Rejection, shown: Shown) -> dict[str, Any]:
    return {
        "kind": "rejected",
        "request_file": rejection.file,
        "last_good": sorted(name for name, by in shown.plan.kept.items() if by == rejection),
        "problems": [asdict(problem) for problem in rejection.problems],
    }


def _rush(rush: Rush | None) -> dict[str, Any] | None:
    return {"time": rush.at, "starts": rush.starts} if rush else None
