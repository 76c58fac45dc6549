"""A plan for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from runner.cli.output.plans import Shown, words
from runner.cli.output.problems import problem_lines
from runner.cli.output.tables import style
from runner.errors import Problem
from runner.planning.views.plan import PlanStep, StepKind
from runner.timing.local_times import local_text

_MARKS = {
    StepKind.ADDED: ("+", "green"),
    StepKind.REMOVED: ("-", "red"),
    StepKind.RENAMED: ("»", "cyan"),
    StepKind.CHANGED: ("~", "yellow"),
    StepKind.UNTOUCHED: (" ", None),
}


def lines(shown: Shown) -> Iterator[str]:
    """Yield the differing requests, problems, executions at once, misses, collisions,
    and a summary line.
    """
    for step in shown.plan.steps:
        yield from _step(step, shown)
    reported: set[Problem] = set()  # that of a whole folder is the problem of each of its files
    for rejection in shown.plan.rejections:
        for problem in rejection.problems:
            if problem not in reported:
                yield from problem_lines(problem)
        reported.update(rejection.problems)
        kept = sorted(name for name, by in shown.plan.kept.items() if by == rejection)
        if kept:
            yield f"    the last good version of {', '.join(kept)} stays active"
    yield from _section("perhaps renamed", list(words.rename(shown)))
    yield from _section(
        "runs at once", [_run(step, fire, shown) for step, fire in words.running(shown)]
    )
    yield from _section("recorded as misfired", list(words.missed(shown)))
    yield from _section("recorded as skipped by a pause", list(words.held(shown)))
    yield from _section("outputs deleted by the new retention", list(words.deleted(shown)))
    yield from _section(
        "new collisions in the next 7 days",
        list(map(words.collision, shown.plan.crowding.collisions)),
    )
    if shown.plan.differs:
        yield f"busiest minute of the next 7 days: {words.rush(shown)}"
    yield style(f"{shown.jobs} against {shown.against}: {words.summary(shown)}", bold=True)


def _step(step: PlanStep, shown: Shown) -> Iterator[str]:
    mark, colour = _MARKS[step.kind]
    former = f" (was {step.renamed_from})" if step.renamed_from else ""
    becoming = words.becoming(step)
    yield style(f"{mark} {step.name}", fg=colour) + former + (f"  {becoming}" if becoming else "")
    for alteration in step.alterations:
        yield f"    {words.alteration(alteration)}"
    yield from (f"    {line}" for line in words.chains(step))
    for caution in step.cautions:
        yield f"    {style('caution', fg='yellow')}: {caution.message}"
    if words.has_other_fires(step):
        zone = words.zone_of(step, shown)
        if step.before is not None:
            yield f"    next before  {words.fires(step.before, zone)}"
        if step.after is not None:
            yield f"    next after   {words.fires(step.after, zone)}"


def _run(step: PlanStep, fire: datetime, shown: Shown) -> str:
    return (
        f"{step.name}  for {local_text(fire, words.zone_of(step, shown))}  {words.run(step, fire)}"
    )


def _section(title: str, entries: list[str]) -> Iterator[str]:
    if entries:
        yield f"{title}: {len(entries)}"
        yield from (f"    {entry}" for entry in entries)
