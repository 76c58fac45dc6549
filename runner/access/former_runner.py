"""The last runner, while none is running: when it ended, and what it left. Reads the store
and /proc.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing

from runner.access.ownership import other_jobs
from runner.access.places import Places
from runner.execution.trees.proc import Seen, boot_id, look_at_all, members
from runner.service.clock_watch import memory_in
from runner.service.executions.execution import Execution, execution_of
from runner.service.executions.name_lists import MOST_NAMED
from runner.service.trouble import ALIVE
from runner.store.opening import read_store
from runner.timing.local_times import local_text
from runner.values import listed


def former_runner_lines(places: Places) -> Iterator[str]:
    """Yield sentences about the last runner and its executions that have not ended.

    Yield nothing about the runner of another jobs folder. Raises StoreError.
    """
    if not places.has_store or other_jobs(places) is not None:
        return
    with closing(read_store(places.store)) as reader:
        snapshot = reader.snapshot()
    yield from _end_words(snapshot.meta, places.zone)
    is_same_boot = snapshot.meta.get("boot") == boot_id()
    # A group is named instead of its members.
    wholes = [each for each in map(execution_of, snapshot.executions) if each.claim.group is None]
    for words, executions in _by_fate(wholes, is_same_boot=is_same_boot):
        yield f"{listed(map(_shown, executions), MOST_NAMED)}: {words}"


def _end_words(meta: Mapping[str, str], zone: str) -> Iterator[str]:
    memory = memory_in(meta)
    if memory is None or ALIVE not in meta:
        return
    at = local_text(memory.seen, zone)
    if pid := meta[ALIVE]:
        yield f"the last runner (process {pid}) ended unexpectedly; it was last seen at {at}"
    else:
        yield f"the last runner stopped at {at}"


def _by_fate(
    executions: Iterable[Execution], *, is_same_boot: bool
) -> Iterator[tuple[str, list[Execution]]]:
    """Yield what the next start does with executions, and which ones."""
    seen = look_at_all() if is_same_boot else {}
    fates: dict[str, list[Execution]] = {}
    for each in executions:
        if each.phase.is_before_start:
            fate = "waiting for the next start"
        elif each.is_group or _is_alive(each, seen):
            fate = "left running; the next start takes over"
        else:
            fate = "ended meanwhile or never started; the next start records that"
        fates.setdefault(fate, []).append(each)
    yield from fates.items()


def _is_alive(execution: Execution, seen: Mapping[int, Seen]) -> bool:
    """Return whether a process of an execution's tree still runs.

    Only the start time tells the main process from another one with its pid.
    """
    main = seen.get(execution.pid) if execution.pid is not None else None
    is_taken = main is not None and main.stat.started != execution.pid_started
    return bool(members(seen, execution.id, None if is_taken else execution.pid))


def _shown(execution: Execution) -> str:
    return execution.name + (f" (process {execution.pid})" if execution.pid is not None else "")
