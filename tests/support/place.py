"""A runner as a person uses it, for tests; and the check of records against the schema."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from datetime import time as time_of_day
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

import jsonschema
import pytest
from support import fork_server
from support.fork_server import Process
from support.store_activity import is_free

from runner.store.opening import read_store
from runner.store.place import StorePlace
from runner.system.trust import user_name

ROOT = Path(__file__).parents[2]
RECORD_SCHEMA = json.loads((ROOT / "schemas" / "monitor-record.schema.json").read_text())
_VALIDATOR = jsonschema.Draft7Validator(RECORD_SCHEMA)
Record = dict[str, Any]
Keys = Mapping[str, object]
T = TypeVar("T")
SECONDLY = {"schedule": {"frequency": "secondly"}}
acts_alone = pytest.mark.sqlite_only("no command acts in place of a leader")
"""Marks tests of what a command does without a runner."""
loses_exit_codes = pytest.mark.sqlite_only("a worker outlives a leader and knows exit codes")
"""Marks tests of executions whose runner was killed."""
leaves_executions = pytest.mark.sqlite_only("a stopping leader leaves executions to workers")
"""Marks tests of a runner that waits for its executions."""
OWN_JOBS = "each node of a fleet has a jobs folder of its own"
GATE = "n=0; until [ -e ../go ] || [ $((n += 1)) -gt 3000 ]; do sleep 0.1; done"
"""A shell line that waits for `Place.open_gate`, which is also called after each test.

If the tests themselves are killed, the line ends after some minutes: longer than any
test waits.
"""


class Patience:
    """How much longer tests wait than they say: a fleet starts more programs."""

    factor = 1.0


patience = Patience()


def zone_away_from_two(now: datetime) -> str:
    """Return a zone in which no example that fires at 02:00 or 03:00 fires during a test.

    Both zones have names and offsets of one width, so that tables keep theirs.
    """
    return "MST" if time_of_day(1, 45) <= now.time() < time_of_day(3, 15) else "UTC"


_LOOK_EVERY_S = 0.01


def wait_until(
    condition: Callable[[], T | Literal[False] | None], *, within_s: float = 30.0, what: str = ""
) -> T:
    """Return the first true value of `condition`; fail if there is none within `within_s`.

    Choose a limit that only a hang exceeds.
    """
    within_s *= patience.factor
    until_s = time.monotonic() + within_s
    while True:
        # Read the time before the condition: a process that was held up looks once more.
        begun_s = time.monotonic()
        if value := condition():
            return value
        assert begun_s <= until_s, f"not within {within_s} s: {what or condition}"
        # A condition that costs much must not take the processor from what it waits for.
        time.sleep(max(time.monotonic() - begun_s, _LOOK_EVERY_S))


@contextmanager
def child(script: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run a Python script in a new process, and kill it at the end."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


PERSON = user_name(os.getuid())
"""The user who runs the tests, as records must name it."""
IMPOSTOR = "the.ceo"
"""The user that the environment of every command claims."""


class Terminal:
    """A terminal, with a command that runs on it."""

    def __init__(self, process: Process, descriptor: int) -> None:
        self.process = process
        self._descriptor = descriptor
        self._shown = b""

    def shown(self) -> str:
        """Return everything that the command has shown so far."""
        with suppress(OSError):  # EIO is a terminal's end of file
            while part := os.read(self._descriptor, 65536):
                self._shown += part
        return self._shown.decode(errors="replace").replace("\r\n", "\n")

    def ended(self, *, within_s: float = 60.0) -> int:
        """Wait for the end of the command while reading; return its exit code."""

        def has_ended() -> bool:
            self.shown()
            return self.process.poll() is not None

        wait_until(has_ended, within_s=within_s, what=f"the end of {self.process.args!r}")
        return self.process.wait()


class Place:
    """A jobs folder with its own state, and the command line for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs = folder / "jobs.d"
        self.state = folder / "state"
        self.log = self.state / "monitor.jsonl"
        self.rotated: list[Path] = []
        self.jobs.mkdir()
        self.environment = {
            **os.environ,
            "RUNNER_JOBS": str(self.jobs),
            "RUNNER_STATE": str(self.state),
            **dict.fromkeys(("LOGNAME", "USER", "LNAME", "USERNAME", "SUDO_USER"), IMPOSTOR),
            "TZ": "UTC",
            "NO_COLOR": "1",
            "PYTHONWARNINGS": fork_server.WARNINGS,
        }
        self.running: list[Process] = []
        self._consoles = 0

    @property
    def store(self) -> StorePlace:
        """Where the store is, as the environment of the commands says."""
        return StorePlace(folder=self.state, url=self.environment.get("RUNNER_STORE"))

    @property
    def is_in_fleet(self) -> bool:
        """Whether the store is in PostgreSQL: the tests run with `--store=postgres`."""
        return self.store.url is not None

    @property
    def person(self) -> str:
        """Who gives the commands, as records must name it: in a fleet, the database's role."""
        return PERSON if self.store.url is None else str(urlsplit(self.store.url).username)

    def write(self, name: str, text: str) -> Path:
        """Write a request file atomically, by rename."""
        path = self.jobs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.new")
        new.write_text(text)
        new.rename(path)
        return path

    def declare(
        self,
        name: str,
        shell: str,
        timing: object = None,
        /,
        *,
        top: Keys | None = None,
        **process: object,
    ) -> Path:
        """Write a request that runs a shell line, as JSON (which is YAML too).

        `top` holds further top-level keys.
        """
        content = {"process": {"shell": shell, **process}} | ({"timing": timing} if timing else {})
        return self.write(f"{name}.yaml", json.dumps({**content, **(top or {})}))

    def open_gate(self) -> None:
        """Let everything continue that waits at `GATE`."""
        (self.folder / "go").touch()

    def run(self, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return fork_server.run(
            arguments, environment=self.environment, folder=self.folder, timeout_s=timeout_s
        )

    def shown_on_terminal(self, *arguments: str, columns: int = 80, has_input: bool = False) -> str:
        """Run a command on a terminal of that width; return what it shows."""
        with self.on_terminal(*arguments, columns=columns, has_input=has_input) as terminal:
            assert terminal.ended() == 0, terminal.shown()
            return terminal.shown()

    @contextmanager
    def on_terminal(
        self, *arguments: str, columns: int = 80, has_input: bool = False
    ) -> Iterator[Terminal]:
        """Start a command on a terminal of that width.

        With `has_input` the terminal is its standard input too.
        """
        own, its = pty.openpty()
        termios.tcsetwinsize(own, (24, columns))
        os.set_blocking(own, False)
        environment = {
            name: value
            for name, value in self.environment.items()
            if name not in ("COLUMNS", "LINES")
        }
        with open(os.devnull, "rb") as empty:  # noqa: PTH123
            process = fork_server.start(
                arguments,
                environment=environment,
                folder=self.folder,
                streams=(its if has_input else empty.fileno(), its, its),
            )
        self.running.append(process)
        os.close(its)
        try:
            yield Terminal(process, own)
        finally:
            os.close(own)

    def begin(self, *arguments: str) -> Process:
        """Start a command in the background; `end_of` waits for it."""
        process = fork_server.start(arguments, environment=self.environment, folder=self.folder)
        self.running.append(process)
        return process

    def launch(self, *arguments: str, is_fresh: bool = False) -> Process:
        """Start a runner without waiting for anything, if asked in a fresh interpreter."""
        self._consoles += 1
        with self._console_path.open("wb") as console, open(os.devnull, "rb") as empty:  # noqa: PTH123
            process = fork_server.start(
                ("start", *arguments),
                environment=self.environment,
                folder=self.folder,
                streams=(empty.fileno(), console.fileno(), console.fileno()),
                is_fresh=is_fresh,
            )
        self.running.append(process)
        return process

    def start(self, *arguments: str) -> Process:
        """Start a runner and wait until it works."""
        before = len(self.events("runner.started"))
        process = self.launch(*arguments)

        def has_started() -> bool:
            assert process.poll() is None, self.console()
            return len(self.events("runner.started")) > before

        wait_until(has_started, within_s=90, what="runner.started")
        return process

    @contextmanager
    def acted_on(self) -> Iterator[None]:
        """Let commands have effect without a runner of the test's own.

        Over SQLite they act by themselves. In a fleet, a runner acts on them.
        """
        runner = self.start() if self.is_in_fleet else None
        yield
        if runner is not None:
            assert self.stop(runner) == 0

    def serve_fleet(self) -> None:
        """In a fleet, start a runner until the end of the test: no command acts alone there."""
        if self.is_in_fleet:
            self.start()

    def add_worker(self, *queues: str) -> None:
        """In a fleet, start a worker that runs as many executions as a runner over SQLite."""
        if not self.is_in_fleet:
            return
        other = self.folder / f"worker-{len(self.running)}"
        places = ("--state", str(other), "--name", other.name, "--concurrency", "64")
        with open(os.devnull, "r+b") as nothing:  # noqa: PTH123
            worker = fork_server.start(
                ("work", *places, *(f"--queue={each}" for each in queues)),
                environment=self.environment,
                folder=self.folder,
                streams=(nothing.fileno(),) * 3,
            )
        self.running.append(worker)
        wait_until(lambda: self._is_served_by(other.name), within_s=90, what="a worker")

    def _is_served_by(self, worker: str) -> bool:
        with closing(read_store(self.store)) as reader:
            fleet = reader.fleet()
        return fleet is not None and any(each.name == worker for each in fleet.workers)

    def output_of(self, record: Record) -> str:
        """Return the output of a record's execution so far."""
        if self.is_in_fleet:
            return self.run("log", str(record["execution"])).stdout
        return Path(str(record["output_file"])).read_text()

    def console(self) -> str:
        """Return what the last started runner has printed."""
        return self._console_path.read_text()

    @property
    def _console_path(self) -> Path:
        return self.folder / f"console.{self._consoles}"

    def stop(self, process: Process, *, by: signal.Signals = signal.SIGTERM) -> int:
        """Stop a runner and return its exit code."""
        process.send_signal(by)
        return process.wait(timeout=60)

    @contextmanager
    def standing_still(self, runner: Process) -> Iterator[None]:
        """Stop the process of a runner outside of a transaction, and continue it afterwards.

        The runner then sees everything that the block did at one moment.
        """

        def stands_free() -> bool:
            runner.send_signal(signal.SIGSTOP)
            wait_until(lambda: _state_of(runner.pid) == "T", what="the runner stands still")
            if is_free(self.store):
                return True
            runner.send_signal(signal.SIGCONT)
            return False

        try:
            wait_until(stands_free, what="the runner stands still outside of a transaction")
            yield
        finally:
            runner.send_signal(signal.SIGCONT)

    def items(self, *arguments: str) -> list[Record]:
        """Return what a command prints with `--output json`."""
        done = self.run(*arguments, "--output", "json")
        # The database of the tests has no durability, which doctor reports.
        may_fail = self.is_in_fleet and arguments[0] == "doctor"
        assert done.returncode == 0 or may_fail, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def records(self) -> list[Record]:
        """Return all whole lines of the monitor log and of its rotated files."""
        contents = [path.read_bytes() for path in (*self.rotated, self.log) if path.exists()]
        return [
            json.loads(line)
            for text in contents
            for line in text[: text.rfind(b"\n") + 1].splitlines()
        ]

    def events(self, event: str, request: str | None = None, **fields: object) -> list[Record]:
        """Return the records of an event, optionally of one request and with given fields."""
        return [
            record
            for record in self.records()
            if record["event"] == event
            and (request is None or record.get("request") == request)
            and all(record.get(name) == value for name, value in fields.items())
        ]

    def finished(self, request: str, **fields: object) -> list[Record]:
        """Return the finished records of a request."""
        return self.events("execution.finished", request, **fields)

    def await_log(self) -> None:
        """Wait until the monitor log has every record that the store has.

        A command is answered by the commit, a moment before the log has its records.
        """
        with closing(read_store(self.store)) as reader:
            lines = list(reader.waiting_records())
        wait_until(lambda: all(line in self.log.read_bytes() for line in lines), what="the records")

    def await_started(self, request: str, *, count: int = 1) -> list[Record]:
        """Wait for `count` started records of a request, and return them."""
        return wait_until(
            lambda: len(found := self.events("execution.started", request)) >= count and found,
            what=f"{count} started records of {request}",
        )

    def await_finished(
        self, request: str, *, count: int = 1, within_s: float = 30.0, **fields: object
    ) -> list[Record]:
        """Wait for `count` finished records of a request, and return them."""
        return wait_until(
            lambda: len(found := self.finished(request, **fields)) >= count and found,
            within_s=within_s,
            what=f"{count} finished records of {request} with {fields}",
        )


def _state_of(pid: int) -> str:
    """Return the state of a process in /proc; T if it is stopped (Linux)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def end_of(process: Process, *, within_s: float = 60.0) -> tuple[int, bytes, str]:
    """Wait for a command that `begin` started; return its exit code, output and messages."""
    output, messages = process.communicate(timeout=within_s)
    return process.wait(), output, messages.decode()


def check_log(path: Path) -> list[Record]:
    """Check that a log is whole and every line matches the schema; return its records."""
    if not path.exists():
        return []
    content = path.read_bytes()
    assert not content or content.endswith(b"\n"), "the last line is torn"
    records = [json.loads(line) for line in content.splitlines()]
    for record in records:
        for error in _VALIDATOR.iter_errors(record):
            raise AssertionError(f"{error.message} in {record}")
    identities = [record["id"] for record in records]
    assert len(identities) == len(set(identities)), "a line is repeated"
    return records
