"""A plan as a pull request comment: a table of differences, what needs attention, and
folded details.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.cli.output.plans import Shown, words
from runner.errors import Problem
from runner.planning.views.plan import NextFires, PlanStep, StepKind
from runner.timing.local_times import local_text
from runner.values import neutral

_MARK = "<!-- runner plan -->"
"""A hidden mark by which a pipeline finds its earlier comment, to replace it."""
_MOST_ROWS = 100
_MOST_DETAILS = 200
_SYMBOLS = {
    StepKind.ADDED: "➕ added",
    StepKind.REMOVED: "➖ removed",
    StepKind.RENAMED: "✏️ renamed",
    StepKind.CHANGED: "🔁 changed",
    StepKind.UNTOUCHED: "untouched",
}


def lines(shown: Shown) -> Iterator[str]:
    """Yield the comment. Its length stays below GitHub's limit of 65,536 characters for
    any plan.
    """
    yield _MARK
    yield f"### `runner plan`: {words.summary(shown)}"
    yield ""
    yield f"{_code(shown.jobs)} against {_code(shown.against)}"
    # The problem of a whole folder is the problem of each of its files.
    problems = dict.fromkeys(each for by in shown.plan.rejections for each in by.problems)
    yield from _list("❌ Problems", list(map(_problem, problems)))
    yield from _table(shown)
    yield from _list("⚠️ Perhaps renamed", list(words.rename(shown)))
    yield from _list(
        "⚠️ Cautions",
        [
            f"{_code(step.name)}: {neutral(each.message)}"
            for step in shown.plan.steps
            for each in step.cautions
        ],
    )
    yield from _list(
        "▶️ Runs at once",
        [f"{_code(step.name)}: {words.run(step, fire)}" for step, fire in words.running(shown)],
    )
    yield from _list("⚠️ Recorded as misfired", list(words.missed(shown)))
    yield from _list("⏸️ Recorded as skipped by a pause", list(words.held(shown)))
    yield from _list("🗑️ Outputs deleted by the new retention", list(words.deleted(shown)))
    yield from _list(
        "⚠️ New collisions in the next 7 days",
        [_code(words.collision(each)) for each in shown.plan.crowding.collisions],
    )
    if shown.plan.differs:
        yield from ("", f"Busiest minute of the next 7 days: {words.rush(shown)}")
    yield from _details(shown)


def _table(shown: Shown) -> Iterator[str]:
    steps = shown.plan.steps
    if not steps:
        return
    yield from ("", "| | request | next fire before | next fire after |", "|---|---|---|---|")
    for step in steps[:_MOST_ROWS]:
        zone = words.zone_of(step, shown)
        former = f" (was {_code(step.renamed_from)})" if step.renamed_from else ""
        becoming = words.becoming(step)
        name = f"{_code(step.name)}{former}" + (f"<br>{becoming}" if becoming else "")
        before, after = _next(step.before, zone), _next(step.after, zone)
        yield f"| {_SYMBOLS[step.kind]} | {name} | {before} | {after} |"
    if len(steps) > _MOST_ROWS:
        yield from ("", f"and {len(steps) - _MOST_ROWS:,} more")


def _details(shown: Shown) -> Iterator[str]:
    entries = [line for step in shown.plan.steps for line in _detail(step, shown)]
    if not entries:
        return
    yield from ("", "<details><summary>What differs, and the next fires</summary>", "")
    yield from entries[:_MOST_DETAILS]
    if len(entries) > _MOST_DETAILS:
        yield f"- and {len(entries) - _MOST_DETAILS:,} more lines"
    yield from ("", "</details>")


def _detail(step: PlanStep, shown: Shown) -> Iterator[str]:
    yield f"- {_code(step.name)}"
    yield from (f"  - {_code(words.alteration(each))}" for each in step.alterations)
    yield from (f"  - {_code(line)}" for line in words.chains(step))
    if words.has_other_fires(step):
        zone = words.zone_of(step, shown)
        if step.before is not None:
            yield f"  - next before: {words.fires(step.before, zone)}"
        if step.after is not None:
            yield f"  - next after: {words.fires(step.after, zone)}"


def _list(title: str, entries: list[str]) -> Iterator[str]:
    if not entries:
        return
    yield from ("", f"**{title}: {len(entries):,}**", "")
    yield from (f"- {entry}" for entry in entries[:_MOST_ROWS])
    if len(entries) > _MOST_ROWS:
        yield f"- and {len(entries) - _MOST_ROWS:,} more"


def _problem(problem: Problem) -> str:
    hint = f"; {_code(problem.suggestion)}" if problem.suggestion else ""
    return (
        f"{_code(f'{problem.file}:{problem.line}:{problem.column}')} {_code(problem.message)}{hint}"
    )


def _next(next_fires: NextFires | None, zone: str) -> str:
    return (
        local_text(next_fires.fires[0], zone)
        if next_fires and next_fires.fires
        else f"{next_fires.status if next_fires else ''}"
    )


def _code(text: str) -> str:
    """Return a text as inline code without any markup in it; safe inside a table too."""
    return f"`{neutral(text).replace('`', 'ˋ').replace('|', '¦')[:300]}`"
