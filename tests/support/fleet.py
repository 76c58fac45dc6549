"""Several nodes of a fleet on one machine, over one database."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from support.fork_server import Process
from support.place import Place, Record, check_log, wait_until
from support.postgres import execute

from runner.execution.trees import proc
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
        """End what the node left running, and check its log and its console."""
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        for process in self.running:
            process.wait(timeout=120)
        check_log(self.log)
        assert "Traceback" not in self.console(), self.console()

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


def bring_to_rest(node: FleetNode) -> None:
    """Let nothing more fire, and wait for the end of every execution."""
    assert node.run("pause", "--reason", "the end").returncode == 0
    wait_until(
        lambda: not execute(node.url, "SELECT id FROM executions"),
        within_s=90,
        what="a fleet at rest",
    )


class Ledger:
    """What the processes themselves write: one line for each start, with the execution's id."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.shell = f'echo "$RUNNER_EXECUTION_ID" >> {path}'
        """The shell line that writes."""

    def starts(self) -> Counter[str]:
        """Return how often each execution has started."""
        return Counter(self.path.read_text().split()) if self.path.exists() else Counter()

    def check(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Compare with the records of a fleet at rest.

        No execution started twice, every process has a finished record, every execution
        that succeeded had a process, and none that failed to start.
        """
        starts, records = self.starts(), list(records)
        assert {each: count for each, count in starts.items() if count > 1} == {}, "doubled"
        finished = [each for each in records if each["event"] == "execution.finished"]
        ids = Counter(each["execution"] for each in finished)
        assert {each: count for each, count in ids.items() if count > 1} == {}, "ended twice"
        assert starts.keys() <= ids.keys(), "a process without a record"
        succeeded = {each["execution"] for each in finished if each["status"] == "success"}
        assert succeeded <= starts.keys(), "a success without a process"
        unstarted = {
            each["execution"]
            for each in finished
            if each["reason"] == "spawn_failed" or each["status"] in ("skipped", "misfired")
        }
        assert not unstarted & starts.keys(), "a process that never started by its record"


def fires_of(records: Iterable[Mapping[str, Any]], request: str) -> Counter[str]:
    """Return how often each fire of a secondly request has a verdict: it ran, or was missed."""
    found: Counter[str] = Counter()
    for each in ends(records, request):
        if each["status"] != "misfired":
            found[each["scheduled_for"]] += 1
            continue
        at, last = (datetime.fromisoformat(each[key]) for key in ("missed_from", "missed_until"))
        while at <= last:
            found[at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")] += 1
            at += timedelta(seconds=1)
    return found


def check_fires(records: Iterable[Mapping[str, Any]], request: str) -> int:
    """Check that each second from the first verdict to the last has one; return how many."""
    found = fires_of(records, request)
    assert {fire: count for fire, count in found.items() if count > 1} == {}, "two verdicts"
    first, last = (datetime.fromisoformat(end) for end in (min(found), max(found)))
    assert len(found) == (last - first).total_seconds() + 1, "a fire without a verdict"
    return len(found)


def worker_of(process: Process) -> int | None:
    """Return the pid of the worker beside a runner; None while there is none."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for each in children:
        with suppress(OSError):
            if b"\0work\0" in Path(f"/proc/{each}/cmdline").read_bytes():
                return int(each)
    return None


def zombies_of(pid: int) -> list[int]:
    """Return the children of a process that have ended and that it has not reaped."""
    stats = ((int(each), proc.stat_of(int(each))) for each in proc.names("/proc") if each.isdigit())
    return [each for each, stat in stats if stat and stat.parent == pid and stat.is_dead]


def is_running(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
