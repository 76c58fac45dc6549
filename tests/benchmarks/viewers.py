"""The page under load: viewers with live pages beside a runner with many executions.

`python tests/benchmarks/viewers.py` prints the figures of tests/README.md, "The page under
load": how long pages take, how late the runner's fires are with and without viewers, and
the memory of the processes. Starts and ends processes.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

import click
from benchmarks.past import write_log
from benchmarks.service import RUNNER, Service, daily, end

from runner.history.reading.index import HistoryIndex, HistoryUnreadableError
from runner.web.identity.roles import Role, Scope
from runner.web.identity.tokens import Tokens, new_token

REQUESTS, VIEWERS = 500, 200
PAGES = ("/", "/requests", "/requests/{}", "/executions?status=error", "/changes")
"""What viewers look at; `{}` is the name of a request."""
_SECONDLY = "process: {command: [/bin/true]}\ntiming: {schedule: {frequency: secondly}}\n"
_ADDRESS = re.compile(r"the page is served on http://([\d.]+):(\d+)/")
_READY_S = 600.0
_EVERY_S = 20.0
_OTHER_MACHINES = 15
_LOOKING = (
    "import sys; from benchmarks.viewers import look_as_long_as_possible;"
    " look_as_long_as_possible(sys.argv[1:], sys.stdin.readline().strip())"
)


@dataclass(slots=True, kw_only=True)
class Seen:
    """What the viewers saw: the times of pages by path, in ms, and the events streamed."""

    took_ms: dict[str, list[float]] = field(default_factory=dict)
    events: int = 0
    failures: int = 0
    streams: int = 0
    settled: Callable[[], None] | None = None
    """What to call once `viewers` have a stream, and every page was looked at twice."""
    viewers: int = VIEWERS

    def note_page(self, path: str, took_ms: float) -> None:
        """Note how long a page took."""
        self.took_ms.setdefault(path, []).append(took_ms)
        is_warm = len(self.took_ms) == len(PAGES) and min(map(len, self.took_ms.values())) > 1
        if self.settled is not None and is_warm and self.streams >= self.viewers:
            self.settled()
            self.settled = None


@click.command()
@click.option("--viewers", default=VIEWERS, show_default=True, help="Open pages, each live.")
@click.option("--rate", default=50, show_default=True, help="Executions a second.")
@click.option("--past", default=1_000_000, show_default=True, help="Executions in the log before.")
@click.option("--seconds", default=60, show_default=True, help="How long to measure.")
@click.option(
    "--every", default=_EVERY_S, show_default=True, help="Seconds between two pages of one."
)
def main(viewers: int, rate: int, past: int, seconds: int, every: float) -> None:
    """Measure the page under load, beside a runner that is measured with and without it."""
    with tempfile.TemporaryDirectory(prefix="runner-viewers-") as name:
        service = Service(Path(name))
        service.state.mkdir()
        write_log(service.log, past, REQUESTS)
        for number in range(REQUESTS):
            service.write(f"request-{number}", _SECONDLY if number < rate else daily("03:00"))
        with service.running():
            alone = lateness_of(service, seconds)
            with serving(service) as (process, host, port):
                built_s = wait_for_index(service)
                beside, seen = with_viewers(service, (host, port), viewers, seconds, every)
                report(alone, beside, seen, memory_of(process.pid), built_s)


def lateness_of(service: Service, seconds: int) -> list[float]:
    """Return how late the executions of a span of time were, in ms, ascending."""
    before = service.log.stat().st_size
    time.sleep(seconds)
    return lateness_since(service, before)


def lateness_since(service: Service, place: int) -> list[float]:
    """Return the lateness of the executions that were recorded since, in ms, ascending."""
    found = service.records("execution.started", since=place)
    return sorted(each["lateness_s"] * 1000 for each in found)


@contextmanager
def serving(service: Service) -> Iterator[tuple[subprocess.Popen[bytes], str, int]]:
    """Serve the page; give its process and address."""
    console = service.state.parent / "web"
    with console.open("wb") as file:
        process = subprocess.Popen(
            [*RUNNER, "web", "--listen", "127.0.0.1:0"],
            env=service.environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        until_s = time.monotonic() + _READY_S
        while not (found := _ADDRESS.search(console.read_text())):
            if process.poll() is not None or time.monotonic() > until_s:
                raise ChildProcessError(console.read_text()[-2000:])
            time.sleep(0.05)
        yield process, found[1], int(found[2])
    finally:
        end(process)


def wait_for_index(service: Service) -> float:
    """Wait until the index has the whole log; return how long that took."""
    index, begun_s = HistoryIndex(service.state), time.monotonic()
    while time.monotonic() < begun_s + _READY_S:
        with suppress(HistoryUnreadableError):
            coverage = index.coverage()
            if coverage.executions and coverage.pending_bytes < 1 << 20:
                break
        time.sleep(0.2)
    index.close()
    return time.monotonic() - begun_s


def with_viewers(
    service: Service, address: tuple[str, int], viewers: int, seconds: int, every: float
) -> tuple[list[float], Seen]:
    """Let viewers look; return the runner's lateness meanwhile, and what they saw."""
    seen, before = Seen(), service.log.stat().st_size
    asyncio.run(look(Audience(address, _secret(service), seconds, every, seen), viewers))
    return lateness_since(service, before), seen


@contextmanager
def page_looked_at(service: Service, *, viewers: int) -> Iterator[None]:
    """Serve the page, and let viewers look at it, as long as the block lasts. It begins
    when all of them are there and have seen the pages.

    They are a process that yields to all others, as if they were on other machines.
    """
    with serving(service) as (_, host, port):
        place = Place(host=host, port=port, request=_any_request(service))
        with _looked_at(place, _secret(service), viewers):
            yield


@contextmanager
def memory_looked_at(service: Service, *, viewers: int) -> Iterator[None]:
    """Let the same viewers look at a server that answers from memory."""
    program = Path(__file__).with_name("memory_server.py")
    with subprocess.Popen([sys.executable, program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            place = Place(host="127.0.0.1", port=port, request=_any_request(service))
            with _looked_at(place, "none", viewers):
                yield
        finally:
            end(server)


class Place(NamedTuple):
    """Where viewers look."""

    host: str
    port: int
    request: str


def _any_request(service: Service) -> str:
    return next(service.jobs.glob("*.yaml")).stem


@contextmanager
def _looked_at(place: Place, secret: str, viewers: int) -> Iterator[None]:
    looking = subprocess.Popen(
        [sys.executable, "-c", _LOOKING, place.host, str(place.port), place.request, str(viewers)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert looking.stdin is not None and looking.stdout is not None
    with looking.stdin, looking.stdout:
        try:
            looking.stdin.write(secret.encode() + b"\n")
            looking.stdin.flush()
            assert looking.stdout.readline(), "the viewers did not arrive"
            yield
        finally:
            end(looking)


def look_as_long_as_possible(arguments: Sequence[str], secret: str) -> None:
    """Let viewers look until this process is killed; print a line when they have settled.

    `arguments` are the host, the port, a request to look at, and how many viewers look.
    """
    os.nice(_OTHER_MACHINES)
    (host, port, request), viewers = arguments[:3], int(arguments[3])
    seen = Seen(settled=lambda: print("settled", flush=True), viewers=viewers)
    every_s = _EVERY_S * viewers / VIEWERS  # as many pages a second, however many viewers
    asyncio.run(
        look(Audience((host, int(port)), secret, _READY_S, every_s, seen, request), viewers)
    )


def _secret(service: Service) -> str:
    """Return the secret of a new token."""
    token, secret = new_token("load", Role.VIEWER, Scope(), expires=None)
    Tokens(service.state).add(token)
    return secret


@dataclass(frozen=True, slots=True)
class Audience:
    """Where viewers look, for how long, how often, and what they saw."""

    address: tuple[str, int]
    secret: str
    seconds: float
    every: float
    seen: Seen
    request: str = "request-7"


async def look(audience: Audience, viewers: int) -> None:
    """Let that many viewers look at the same time."""
    async with asyncio.TaskGroup() as group:
        for number in range(viewers):
            group.create_task(_stream(audience))
            group.create_task(_pages(audience, number, viewers))


async def _stream(audience: Audience) -> None:
    reader, writer = await _asked(audience, "/events")
    with suppress(TimeoutError):
        async with asyncio.timeout(audience.seconds):
            await reader.readuntil(b"\r\n\r\n")
            audience.seen.streams += 1
            while piece := await reader.read(1 << 16):
                audience.seen.events += piece.count(b"event: changed")
            audience.seen.failures += 1  # the stream ended
    writer.close()


async def _pages(audience: Audience, number: int, viewers: int) -> None:
    until_s = time.monotonic() + audience.seconds
    await asyncio.sleep(audience.every * number / viewers)
    while time.monotonic() < until_s:
        path = PAGES[number % len(PAGES)].format(audience.request)
        begun_s = time.monotonic()
        reader, writer = await _asked(audience, path)
        answer = await reader.read()
        writer.close()
        audience.seen.note_page(path, (time.monotonic() - begun_s) * 1000)
        audience.seen.failures += not answer.startswith(b"HTTP/1.1 200")
        number += 1
        await asyncio.sleep(max(begun_s + audience.every - time.monotonic(), 0))


async def _asked(
    audience: Audience, path: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = audience.address
    reader, writer = await asyncio.open_connection(host, port)
    head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n"
    writer.write(f"{head}Authorization: Bearer {audience.secret}\r\n\r\n".encode())
    return reader, writer


def memory_of(pid: int) -> dict[str, float]:
    """Return the resident memory of a process and of its children, in MB."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [each for task in tasks for each in (task / "children").read_text().split()]
    named = {"web process": pid, **{f"index keeper {each}": int(each) for each in children}}
    return {name: _resident_mb(each) for name, each in named.items()}


def _resident_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def report(
    alone: Sequence[float],
    beside: Sequence[float],
    seen: Seen,
    memory: dict[str, float],
    built_s: float,
) -> None:
    """Print the figures."""
    click.echo(f"index: {built_s:.1f} s until it had the log")
    for name, latenesses in (("without a page", alone), ("with viewers", beside)):
        shown = ", ".join(f"p{p} {_quantile(latenesses, p):.1f} ms" for p in (50, 95, 99))
        click.echo(f"lateness {name}: {shown}, {len(latenesses)} executions")
    for path, took in sorted(seen.took_ms.items()):
        shown = ", ".join(f"p{p} {_quantile(took, p):.0f} ms" for p in (50, 95, 99))
        click.echo(f"page {path}: {shown}, {len(took)} times")
    click.echo(f"streamed events: {seen.events}; failures: {seen.failures}")
    for name, size in memory.items():
        click.echo(f"memory of the {name}: {size:.0f} MB")


def _quantile(values: Sequence[float], share: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) * share // 100, len(ordered) - 1)] if ordered else 0.0


if __name__ == "__main__":
    main()
