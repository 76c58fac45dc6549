"""How long the loop may wait, because nothing is due."""

from __future__ import annotations

from collections.abc import Iterator

from runner.service.assembly.parts import Parts
from runner.service.trouble import Cooldown

LONGEST_WAIT_S = 0.5


def idle_s(parts: Parts, log_pause: Cooldown) -> float:
    """Return for how many seconds nothing is due, at most `LONGEST_WAIT_S`.

    While the store or the log refuses, what needs it is due when the pause is over.
    """
    core, clock = parts.core, parts.options.clock
    is_showing = parts.journal.has_unshown and not core.executor.starting
    if core.in_progress.starting or is_showing:
        return 0.0
    elapsed_s, store_pause = clock.elapsed_s(), core.decisions.pause
    waits = [LONGEST_WAIT_S]
    deadlines = (
        core.in_progress.claimed_ahead.next_s(),
        core.executor.next_s(),
        core.stopping.next_s(),
        *(child.next_s() for child in parts.options.children),
    )
    waits += [each - elapsed_s for each in deadlines if each is not None]
    waits += [store_pause.left_s] if store_pause.is_on else _waits_for_commits(parts, elapsed_s)
    if parts.journal.log.has_unwritten:
        waits.append(log_pause.left_s)
    return max(min(waits), 0.0)


def _waits_for_commits(parts: Parts, elapsed_s: float) -> Iterator[float]:
    """Yield for how many seconds each thing waits that leads to a commit."""
    core, is_serving = parts.core, parts.folder.is_serving
    if parts.journal.has_facts or parts.mail.is_waiting:
        yield 0.0
    if (deadline_s := core.dispatcher.timeouts.next_s()) is not None:
        yield deadline_s - elapsed_s
    if parts.leader_watch is not None:
        yield parts.leader_watch.next_s - elapsed_s
    if is_serving:
        yield 0.0 if parts.folder.is_busy else parts.reader.next_s() - elapsed_s
        yield parts.housekeeping.next_s - elapsed_s
        if parts.options.is_firing and (next_s := parts.messenger.next_s()) is not None:
            yield next_s - elapsed_s
    if core.stopping.is_asked:
        return
    if is_serving and (left_s := core.registry.idle_s()) is not None:
        yield left_s
    if is_serving and (deadline_s := core.alerts.next_s()) is not None:
        yield deadline_s - elapsed_s
    if is_serving and core.registry.has_due and not core.in_progress.has_claims_ahead:
        yield 0.0
    if (due_s := core.in_progress.next_due_s()) is not None:
        yield due_s - parts.options.clock.now().timestamp()
