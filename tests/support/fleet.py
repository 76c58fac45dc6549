"""Several nodes of a fleet on one machine, over one database."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from support.fork_server import Process
from support.place import Place, Record, check_log, wait_until
from support.postgres import execute

from runner.store.place import URL


class FleetNode(Place):
    """A node with a state folder and a log of its own. The jobs folder may be shared."""

    def __init__(self, folder: Path, url: str, *, jobs: Path | None = None) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(folder)
        self.url = url
        self.environment[URL] = url
        self._name: str | None = None
        if jobs is not None:
            self.jobs = jobs
            self.environment["RUNNER_JOBS"] = str(jobs)

    def end_all(self) -> None:
        """End what the node left running, and check its log."""
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.running:
            process.wait(timeout=120)
        check_log(self.log)

    @property
    def name(self) -> str:
        """The name under which the node registered."""
        if self._name is None:
            state_id = (self.state / "state-id").read_text().strip()
            ((name,),) = execute(
                self.url, f"SELECT name FROM nodes WHERE kind = 'start' AND state_id = '{state_id}'"
            )
            self._name = str(name)
        return self._name

    def join(self, *arguments: str) -> Process:
        """Start the node, and wait until it leads or stands by."""
        process = self.launch(*arguments)

        def has_joined() -> bool:
            assert process.poll() is None, self.console()
            return "stands by" in self.console() or " leads" in self.console()

        wait_until(has_joined, within_s=90, what="a node that leads or stands by")
        return process

    def await_leading(self, *, within_s: float = 60.0) -> None:
        """Wait until this node leads, and its log says so."""
        wait_until(
            lambda: (found := self.events("runner.leading")) and found[-1]["node"] == self.name,
            within_s=within_s,
            what="a leader",
        )


def leader_of(url: str) -> str | None:
    """Return the node whose lease lasts."""
    rows = execute(url, "SELECT node FROM lease WHERE expires > clock_timestamp()")
    return str(rows[0][0]) if rows else None


def lines_of(nodes: Iterable[FleetNode]) -> list[list[str]]:
    """Return the lines in the log of each node, after a check that none is repeated."""
    found = []
    for node in nodes:
        lines = node.log.read_text().splitlines()
        assert len(lines) == len(set(lines)), f"{node.log} repeats a line"
        found.append(lines)
    return found


def await_same_logs(nodes: Iterable[FleetNode], *, within_s: float = 60.0) -> list[Record]:
    """Wait until the log of each node has every record of the store, in order; return them."""
    nodes = list(nodes)

    def are_same() -> bool:
        stored = [
            str(line).rstrip("\n")
            for (line,) in execute(nodes[0].url, "SELECT line FROM records ORDER BY seq")
        ]
        return all(lines[: len(stored)] == stored for lines in lines_of(nodes)) and bool(stored)

    wait_until(are_same, within_s=within_s, what="the same records in all logs")
    return [json.loads(line) for line in lines_of(nodes)[0]]


def ends(records: Iterable[Mapping[str, Any]], request: str) -> list[Mapping[str, Any]]:
    """Return the finished records of a request."""
    return [
        each
        for each in records
        if each["event"] == "execution.finished" and each["request"] == request
    ]


def freeze(process: Process) -> None:
    """Stop a process in the midst of what it does."""
    process.send_signal(signal.SIGSTOP)


def thaw(process: Process) -> None:
    """Let a stopped process go on."""
    process.send_signal(signal.SIGCONT)
