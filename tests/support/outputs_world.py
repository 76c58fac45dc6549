"""A runner's outputs and results, without executions: the test leaves them, and prunes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from support.clock_world import HOUR, NOON, GivenClock
from support.planning_world import request_of, seen

from runner.execution.kept_outputs import KeptOutputs
from runner.execution.output import output_path
from runner.lifecycle import Channel
from runner.requests.model import ProcessRequest, RunImmediately
from runner.requests.policies import Retention
from runner.service.executions.execution import Claim, Execution, execution_for
from runner.service.executions.in_progress import InProgress
from runner.service.output_pruning import OutputPruning, Prunable
from runner.service.registry import Registry
from runner.service.runner_settings import Settings
from runner.store.opening import own_store
from runner.store.place import StorePlace
from runner.store.protocol import Store
from runner.store.rows import Batch, ResultRow
from runner.values import new_id, to_microseconds


@dataclass
class World:
    """A runner's outputs, the results in its store, and the requests in force."""

    settings: Settings
    store: Store
    clock: GivenClock
    registry: Registry
    in_progress: InProgress

    def serve(self, name: str = "p", **retention: Any) -> ProcessRequest:
        """Put a request in force."""
        request = replace(request_of(RunImmediately(), name), retention=Retention(**retention))
        self.registry.accept_requests({**self.registry.requests, name: request})
        self.registry.accept({name: seen(request)})
        return request

    def ended(
        self, at: datetime = NOON, *, request: str = "p", status: str = "success", size: int = 10
    ) -> str:
        """Leave the output and the result of an execution; return its id."""
        execution = new_id()
        self.output(execution, at, size=size)
        self.result(execution, at, request=request, status=status)
        return execution

    def result(
        self, execution: str, at: datetime = NOON, *, request: str = "p", status: str = "success"
    ) -> None:
        """Leave a result."""
        end = to_microseconds(at)
        row = ResultRow(execution, request, "direct", status, None, end, 1, end, end, 0)
        self.store.commit(Batch(results=[row]))

    def output(self, execution: str, at: datetime = NOON, *, size: int = 10) -> Path:
        """Leave an output, last written at an instant."""
        path = Path(output_path(self.settings.outputs, execution))
        written(path, at, size=size)
        return path

    def prune(self, *, after: timedelta = 2 * HOUR) -> OutputPruning:
        """Let time pass since the start of a runner, and do a whole round."""
        pruning = self.pruning()
        self.clock.go_on(after)
        self.finish(pruning)
        return pruning

    def pruning(self) -> OutputPruning:
        """Start a runner."""
        prunable = Prunable(
            kept=partial(KeptOutputs, self.settings.outputs),
            settings=self.settings,
            registry=self.registry,
            in_progress=self.in_progress,
            store=self.store,
            forget=self.forget,
        )
        return OutputPruning(prunable, self.clock)

    def finish(self, pruning: OutputPruning) -> None:
        """Do all slices of a round that is due."""
        pruning.advance()
        for _ in range(1000):
            if pruning.next_s > self.clock.elapsed_s():
                return
            pruning.advance()
        raise AssertionError("a round does not end")

    def forget(self, executions: Sequence[str]) -> None:
        self.store.commit(Batch(forgotten=list(executions)))

    def outputs(self) -> set[str]:
        """Return the executions that still have an output."""
        return {path.name.partition(".")[0] for path in self.settings.outputs.glob("*/*/*.out")}

    def results(self) -> set[str]:
        """Return the executions that still have a result."""
        return {row.execution for row in self.store.results_before(None, at_most=10**6)}


def written(path: Path, at: datetime, *, size: int = 10) -> None:
    """Write a file as of an instant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (at.timestamp(), at.timestamp()))


def in_progress(execution: str) -> Execution:
    """Return an execution that has not ended."""
    request = request_of(RunImmediately(), "p")
    claim = Claim(
        id=execution,
        request="p",
        process=request.process,
        channel=Channel.DIRECT,
        scheduled_for=NOON,
        generation=None,
        source=request.source,
        output_file="",
    )
    return execution_for(claim, due=NOON)


@contextmanager
def outputs_world(folder: Path) -> Iterator[World]:
    """Own a store in a folder, at noon."""
    clock = GivenClock(NOON)
    settings = Settings(
        jobs=folder / "jobs.d", state=folder, monitor_log=folder / "log", zone="UTC"
    )
    with closing(own_store(StorePlace(folder=folder))) as store:
        yield World(settings, store, clock, Registry(clock), InProgress())
