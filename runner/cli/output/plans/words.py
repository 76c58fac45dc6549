"""The parts of a plan in words, without markup, shared by the formats for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from runner.cli.output.plans import Shown
from runner.planning.fires.firing import Miss
from runner.planning.fires.planned_status import RequestChange
from runner.planning.forecast.collisions import Collision
from runner.planning.forecast.simulation import Rush
from runner.planning.views.alterations import Alteration
from runner.planning.views.plan import NextFires, PlanStep, StepKind
from runner.requests.model import RunImmediately, RunLater, Schedule
from runner.timing.local_times import local_text
from runner.values import counted, neutral, rough_size_text

_STATUS_WORDS = {
    RequestChange.SCHEDULED: "scheduled",
    RequestChange.UNSCHEDULED: "unscheduled",
    RequestChange.RESCHEDULED: "rescheduled",
    RequestChange.COMPLETED: "complete",
    RequestChange.REMOVED: "removed",
}


def zone_of(step: PlanStep, shown: Shown) -> str:
    """Return the zone whose wall time a request uses."""
    match step.request.timing:
        case Schedule(rule=rule):
            return rule.zone
        case RunLater(zone=zone):
            return zone
        case _:
            return shown.zone


def fires(next_fires: NextFires | None, zone: str) -> str:
    """Return the next fires, or why there are none."""
    if next_fires is None:
        return "-"
    if not next_fires.fires:
        return f"none ({next_fires.status})"
    return ", ".join(
        local_text(fire, zone) + (f" ({moved})" if moved else "")
        for fire, moved in zip(next_fires.fires, next_fires.moved, strict=True)
    )


def has_other_fires(step: PlanStep) -> bool:
    """Return whether the next fires before and after the change differ."""
    before, after = step.before and step.before.fires, step.after and step.after.fires
    return bool(before or after) and before != after


def chains(step: PlanStep) -> Iterator[str]:
    """Yield the chains that a change touches."""
    touched = step.chains
    yield from (f"in the chain {neutral(chain)}" for chain in touched.shown)
    if touched.count > len(touched.shown):
        yield f"and in {touched.count - len(touched.shown):,} more chains"


def alteration(alteration: Alteration) -> str:
    """Return the old and the new value of a key, in words."""
    path, before, after = map(_printable, (alteration.path, alteration.before, alteration.after))
    if alteration.before is None and alteration.after is None:
        return f"{path} differs"
    if alteration.before is None:
        return f"{path}: {after} (new)"
    return (
        f"{path}: {before} (removed)" if alteration.after is None else f"{path}: {before} → {after}"
    )


def becoming(step: PlanStep) -> str:
    """Return the request's status changes in the monitor log's words; empty if there are none."""
    return ", then ".join(_STATUS_WORDS[change] for change in step.events)


def run(step: PlanStep, fire: datetime) -> str:
    """Return why a fire runs at once."""
    if fire in step.due_anyway:
        return "due anyway"
    if RequestChange.RESCHEDULED in step.events:
        return "its `reschedule` is new"
    if isinstance(step.request.timing, RunImmediately):
        return "run-immediately, and has not run yet"
    return "missed, and caught up by its `misfire`"


def running(shown: Shown) -> list[tuple[PlanStep, datetime]]:
    """Return the fires that run at once, with their requests."""
    return [(step, fire) for step in shown.plan.steps for fire in step.runs]


def rename(shown: Shown) -> Iterator[str]:
    """Yield the added requests that look like removed ones, with what would keep their state."""
    for step in shown.plan.steps:
        if (former := step.looks_like) is not None:
            yield (
                f"{step.name} looks like {former}: if it is the same request under a new name, "
                f"add `formerly: {former}`, which keeps its state and history"
            )


def missed(shown: Shown) -> Iterator[str]:
    """Yield the length of each span that is recorded as misfired."""
    for step in shown.plan.steps:
        yield from (_span(miss, step, shown) for miss in step.missed)


def held(shown: Shown) -> Iterator[str]:
    """Yield the length of each span that is recorded as skipped, because a pause held it."""
    for step in shown.plan.steps:
        yield from (_span(held, step, shown) for held in step.held)


def deleted(shown: Shown) -> Iterator[str]:
    """Yield the outputs that a changed retention deletes."""
    for name, deleted in shown.plan.deleted.items():
        executions = counted(deleted.outputs, "execution")
        yield f"{name}: {executions}, {rough_size_text(deleted.size)}"


def _span(span: Miss, step: PlanStep, shown: Shown) -> str:
    zone = zone_of(step, shown)
    first, last = local_text(span.first, zone), local_text(span.last, zone)
    when = f"of {first}" if span.count == 1 else f"from {first} to {last}"
    return f"{step.name}: {counted(span.count, 'fire')} {when}"


def collision(collision: Collision) -> str:
    """Return what blocks a request, and how often within the next week."""
    others = (
        f"shared with {', '.join(collision.others)}"
        if collision.others
        else "held by its own previous execution"
    )
    before = f" ({collision.before:,} before the change)" if collision.before else ""
    guard = f"the guard {_printable(collision.process)} is {others}"
    return f"{collision.request}: {counted(collision.skipped, 'fire')} skipped{before}, {guard}"


def rush(shown: Shown) -> str:
    """Return the busiest minute of the next week, compared with the one before the change."""
    before, after = shown.plan.crowding.before, shown.plan.crowding.after
    starts = (before.starts if before else 0), (after.starts if after else 0)
    same = starts[0] == starts[1]
    change = "as before" if same else f"before the change {_rush(before, shown.zone)}"
    return f"{_rush(after, shown.zone)}, {change}"


def summary(shown: Shown) -> str:
    """Return the counts of what differs."""
    counts = Counter(step.kind for step in shown.plan.steps)
    parts = [
        f"{counts[kind]} {kind}"
        for kind in StepKind
        if kind is not StepKind.UNTOUCHED and counts[kind]
    ]
    rejected = len(shown.plan.rejections)
    return (
        ", ".join([*parts, *([f"{counted(rejected, 'file')} rejected"] if rejected else [])])
        or "no difference"
    )


def _rush(rush: Rush | None, zone: str) -> str:
    return f"{counted(rush.starts, 'start')} at {local_text(rush.at, zone)}" if rush else "none"


def _printable(text: str | None) -> str:
    return neutral(text or "")
