"""The cost of many requests, in opened files and executed steps instead of seconds."""

from __future__ import annotations

import gc
import hashlib
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from click.testing import CliRunner
from support.place import Place, wait_until
from support.runner_inside import GivenClock

from runner.access.loading import load
from runner.access.places import Places
from runner.cli.group import cli
from runner.lifecycle import Check
from runner.planning.alerts.expectations import Deadline, Limit
from runner.planning.difference import touched
from runner.requests.building import stored
from runner.requests.catalog import file_reader, request_file
from runner.requests.catalog.cache_file import CacheFile
from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.files.bounded_read import FileBytes, Trouble, read_bounded
from runner.requests.model import ProcessRequest
from runner.service.loop import Runner, running
from runner.service.registry import Incumbents
from runner.service.reload import catalog_change
from runner.service.reload.reloader import Reading
from runner.service.runner_settings import Settings
from runner.service.situation import Situation

DAILY = (
    'process: {{command: [/bin/true, "{}"]}}\ntiming: {{schedule: {{frequency: '
    'daily, at: "00:00"}}}}\n'
)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the request files that were opened, in order."""
    names: list[str] = []

    def noted(path: str) -> FileBytes | Trouble:
        names.append(Path(path).name)
        return read_bounded(path)

    monkeypatch.setattr(file_reader, "read_bounded", noted)
    # Age all files: a file that changed a moment ago is rightly read again.
    monkeypatch.setattr(request_file, "_CLOCK_TICK_NS", 0)
    return names


def write_many(place: Place, count: int) -> None:
    for number in range(count):
        (place.jobs / f"r-{number:06}.yaml").write_text(DAILY.format(number))


@contextmanager
def started(place: Place, clock: GivenClock | None = None) -> Iterator[Runner]:
    """Start a runner in this process, and do all work that a start leaves."""
    settings = Settings(jobs=place.jobs, state=place.state, monitor_log=place.log, zone="UTC")
    handlers = {
        number: signal.getsignal(number)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    }
    try:
        with running(settings, clock or GivenClock(), observer=lambda record: None) as runner:
            runner.start()
            for _ in range(3):
                runner.turn()
                runner.wait(at_most_s=0)
            yield runner
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def uncollected() -> Iterator[None]:
    """Switch garbage collection off: its time is random, and its callbacks (Hypothesis
    has one) would count.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def calls_of(do: Callable[[], None]) -> int:
    """Return how many functions, of Python or of C, are called."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    former = sys.getprofile()
    with uncollected():
        sys.setprofile(note)
        try:
            do()
        finally:
            sys.setprofile(former)
    return count


def reload(runner: Runner, clock: GivenClock) -> None:
    """Reload the folder, and wait until the result is in force."""
    runner._parts.reloader.look_again(at_once=True)
    clock.go_on(0.2)
    runner.turn()
    for _ in range(10_000):
        if not runner._parts.reloader.is_reading:
            return
        runner.turn()
    raise AssertionError("the reading does not end")


def remembered_by(place: Place) -> dict[str, ProcessRequest]:
    """Return the content of the store, without stopping executions."""
    with started(place) as runner:
        return dict(runner.registry.requests)


def read_with(place: Place, requests: dict[str, ProcessRequest]) -> Catalog:
    reader = CatalogReader(place.jobs, default_zone="UTC", cache=CacheFile(place.state))
    reader.recall()
    reader.reuse(requests)
    return reader.read()


def test_a_second_scan_opens_no_file(place: Place, opened: list[str]) -> None:
    write_many(place, 50)
    reader = CatalogReader(place.jobs, default_zone="UTC")
    first = reader.read()
    assert len(opened) == 50
    opened.clear()
    assert (reader.read(), opened) == (first, [])


def test_a_second_start_opens_only_changed_files(place: Place, opened: list[str]) -> None:
    write_many(place, 50)
    with started(place) as runner:
        before = dict(runner.registry.requests)
    assert len(opened) == 50
    opened.clear()
    with started(place) as runner:
        assert (dict(runner.registry.requests), opened) == (before, [])
    place.write("r-000007.yaml", DAILY.format("edited"))
    place.write("new.yaml", DAILY.format("new"))
    (place.jobs / "r-000008.yaml").unlink()
    with started(place) as runner:
        assert opened == ["new.yaml", "r-000007.yaml"]
        assert runner.registry.requests.keys() == before.keys() - {"r-000008"} | {"new"}
        assert "edited" in str(runner.registry.requests["r-000007"].process.action)


def test_a_file_edited_under_a_runner_is_not_opened_at_the_next_start(
    place: Place, opened: list[str]
) -> None:
    write_many(place, 3)
    clock = GivenClock()
    with started(place, clock) as runner:
        place.write("r-000001.yaml", DAILY.format("edited"))
        reload(runner, clock)
    opened.clear()
    with started(place) as runner:
        assert (opened, "edited" in str(runner.registry.requests["r-000001"].process.action)) == (
            [],
            True,
        )


def test_the_catalog_is_the_same_without_the_cache(place: Place) -> None:
    write_many(place, 5)
    place.write("dates", "2026-12-25\n")
    place.write("excepted.yaml", DAILY.format("x").replace('"00:00"', '"00:00", except: dates'))
    place.write("broken.yaml", DAILY.format("x"))
    place.write("two.yaml", f"name: good\n{DAILY.format(1)}---\nname: bad\n{DAILY.format(2)}")
    place.write("named.yaml", "name: r-000001\nprocess: {shell: x}\n")
    place.write("refers.yaml", "process: {request: r-000002}\n")
    requests = remembered_by(place)
    place.write("broken.yaml", "process: [")
    place.write("two.yaml", f"name: good\n{DAILY.format(1)}---\nname: bad\nprocess: {{shel: x}}\n")
    with_cache = remembered_by(place)
    found = read_with(place, requests)
    place.state.joinpath("catalog.jsonl").unlink()
    assert read_with(place, requests) == found
    assert {rejection.file for rejection in found.rejections} >= {"broken.yaml", "two.yaml"}
    assert remembered_by(place) == with_cache
    assert {"broken", "bad", "good", "excepted", "refers"} <= with_cache.keys()


def test_a_changed_dates_file_is_read_although_its_request_is_unchanged(place: Place) -> None:
    place.write("dates", "2026-12-25\n")
    place.write("a.yaml", DAILY.format("x").replace('"00:00"', '"00:00", except: dates'))
    before = remembered_by(place)["a"]
    place.write("dates", "2026-12-25\n2026-12-26\n")
    assert remembered_by(place)["a"].timing != before.timing


FOREIGN = [
    "",
    "{",
    "[]",
    "null",
    "7",
    '{"origin": []}',
    '{"origin": null, "sha256": 3}\n[]',
    "\0" * 100,
    "[" * 100_000,
]


@pytest.mark.parametrize("text", FOREIGN, ids=range(len(FOREIGN)))
def test_a_file_that_is_no_cache_is_ignored(place: Place, opened: list[str], text: str) -> None:
    write_many(place, 2)
    before = remembered_by(place)
    (place.state / "catalog.jsonl").write_text(text)
    opened.clear()
    assert (remembered_by(place), len(opened)) == (before, 2)


def changed_notes(text: bytes, change: Callable[[list[Any]], object]) -> bytes:
    """Return the text of a cache with other notes of files, and the checksum that fits."""
    header, notes, *definitions = text.split(b"\n")
    parsed = json.loads(notes)
    change(parsed["files"])
    body = b"\n".join((json.dumps(parsed).encode(), *definitions))
    parts = {**json.loads(header), "sha256": hashlib.sha256(body).hexdigest()}
    return b"\n".join((json.dumps(parts).encode(), body))


@pytest.mark.parametrize(
    "change",
    [
        lambda files: files[0].__setitem__(0, "other.yaml"),
        lambda files: files[0].__setitem__(1, [1, 2, 3, 4, 5]),
        lambda files: files[0].__setitem__(3, "00"),
        lambda files: files.__setitem__(slice(None), [[name] for name, *_ in files]),
        lambda files: files.__setitem__(
            slice(None), [[name, 1, 2, 3, 4, []] for name, *_ in files]
        ),
        lambda files: files[0][5][0].append(7),
        lambda files: files.append(7),
    ],
    ids=[
        "another path",
        "another signature",
        "other defaults",
        "nothing of a file",
        "nonsense of a file",
        "half a position",
        "a note that is none",
    ],
)
def test_a_cache_with_wrong_notes_changes_nothing(
    place: Place, opened: list[str], change: Callable[[list[Any]], object]
) -> None:
    write_many(place, 2)
    before = remembered_by(place)
    opened.clear()
    cache = place.state / "catalog.jsonl"
    cache.write_bytes(changed_notes(cache.read_bytes(), change))
    assert remembered_by(place) == before
    assert opened, "what does not fit is read again"


def test_an_unwritable_cache_does_no_damage(place: Place) -> None:
    write_many(place, 2)
    (place.state / "catalog.jsonl").mkdir(parents=True)
    assert len(remembered_by(place)) == 2
    assert len(remembered_by(place)) == 2


def test_one_edit_among_many_opens_one_file(place: Place, opened: list[str]) -> None:
    write_many(place, 200)
    clock = GivenClock()
    with started(place, clock) as runner:
        opened.clear()
        place.write("r-000123.yaml", DAILY.format("edited"))
        reload(runner, clock)
        assert set(opened) == {"r-000123.yaml"}
        assert "edited" in str(runner.registry.requests["r-000123"].process.action)


def idle_calls(place: Place, copies: int) -> int:
    """Return the steps of an idle turn and of the wait before it, with so many requests.

    Each request is expected to succeed within a time.
    """
    clock = GivenClock()
    write_many(place, 1)
    with started(place, clock) as runner:
        (request,), (state,) = runner.registry.requests.values(), runner.registry.states.values()
        more = {
            f"copy-{number}": replace(request, name=f"copy-{number}") for number in range(copies)
        }
        runner.registry.requests = {**runner.registry.requests, **more}
        runner.registry.accept(dict.fromkeys(more, state))
        limit = Limit(begin=clock.now(), length=timedelta(hours=26))
        deadlines = (Deadline(check=Check.ABSENT, request=name, overdue="") for name in more)
        now = Situation(now=clock.now(), now_s=clock.elapsed_s())
        runner.alerts.accept({}, {each.key: limit for each in deadlines}, now)

        def is_settled() -> bool:
            runner.turn()
            runner.wait(at_most_s=0)
            return runner._parts.settings_watch._pending is None

        for _ in range(3):
            wait_until(is_settled, what="the look at runner.yaml is over")
        return calls_of(runner.turn) + calls_of(lambda: runner.wait(at_most_s=0))


def test_an_idle_turn_takes_as_many_steps_among_a_thousand_as_among_ten(tmp_path: Path) -> None:
    places = [Place(_made(tmp_path / name)) for name in ("few", "many")]
    few, many = (
        idle_calls(place, copies) for place, copies in zip(places, (10, 1000), strict=True)
    )
    assert few == many


def test_a_resync_is_divided_into_short_turns(place: Place) -> None:
    write_many(place, 1000)
    reader = CatalogReader(place.jobs, default_zone="UTC")
    reader.read()
    look = reader.look()
    slices = [calls_of(look.__next__) for _ in range(10)]
    assert max(slices) < 2500, "a hundred files a slice"


def test_a_resync_in_slices_finds_changes_without_a_notification(place: Place) -> None:
    write_many(place, 350)
    clock = GivenClock()
    with started(place, clock) as runner:
        reloader = runner._parts.reloader
        reloader._watcher.stop()
        place.write("r-000123.yaml", DAILY.format("edited"))
        for _ in range(100):
            clock.go_on(1.0)
            runner.turn()
            if "edited" in str(runner.registry.requests["r-000123"].process.action):
                return
    raise AssertionError("the edit was not found")


def test_files_read_before_the_folder_is_quiet_are_not_opened_again(
    place: Place, opened: list[str]
) -> None:
    write_many(place, 20)
    clock = GivenClock()
    with started(place, clock) as runner:
        opened.clear()
        place.write("r-000007.yaml", DAILY.format("edited"))
        runner._parts.reloader.look_again()
        clock.go_on(0.05)
        runner.turn()
        assert (opened, runner._parts.reloader.is_reading) == (["r-000007.yaml"], False)
        assert "edited" not in str(runner.registry.requests["r-000007"].process.action), (
            "it is not still yet"
        )
        place.write("r-000008.yaml", DAILY.format("edited too"))
        clock.go_on(0.11)  # in time: after a late check the folder does not count as quiet
        runner.turn()
        assert opened == ["r-000007.yaml", "r-000008.yaml"]
        found = [
            str(runner.registry.requests[name].process.action) for name in ("r-000007", "r-000008")
        ]
        assert ["edited" in action for action in found] == [True, True]


def test_a_second_start_validates_nothing_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_file, "_CLOCK_TICK_NS", 0)
    write_many(place, 3)
    before = remembered_by(place)
    validated: list[object] = []

    def noted(data: object) -> tuple[()]:
        validated.append(data)
        return ()

    monkeypatch.setattr(stored, "findings_in", noted)
    assert (remembered_by(place), validated) == (before, [])
    places = Places(jobs=place.jobs, given_state=place.state, given_log=place.log, given_zone="UTC")
    assert (load(places).stored.requests, validated) == (before, []), (
        "nor does a command that looks"
    )
    (place.state / "catalog.jsonl").unlink()
    assert (remembered_by(place), len(validated)) == (before, 3)


def lines_of(do: Callable[[], object]) -> int:
    """Return how many lines of the program run: unlike calls, lines reveal every loop."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> Callable[..., Any]:
        nonlocal count
        count += event == "line"
        return note

    former = sys.gettrace()
    with uncollected():
        sys.settrace(note)
        try:
            do()
        finally:
            sys.settrace(former)
    return count


def longest_slice(place: Place, count: int, opened: list[str]) -> int:
    """Return the most lines that a slice of a reload runs, apart from reading a changed
    file.

    Of so many files, one was edited, one was removed, and one is invalid.
    """
    write_many(place, count)
    place.write("bad.yaml", "process: [")
    reader = CatalogReader(place.jobs, default_zone="UTC")
    supplied = Incumbents(reader.read().requests)
    place.write("r-000001.yaml", DAILY.format("edited"))
    (place.jobs / "r-000002.yaml").unlink()

    def read_and_compared() -> Iterator[None]:
        read = yield from reader.scan(supplied)
        yield from touched(supplied.requests, read.requests)

    slices, longest = read_and_compared(), 0
    while True:
        opened.clear()
        try:
            lines = lines_of(slices.__next__)
        except StopIteration:
            return longest
        longest = max(longest, 0 if opened else lines)


def test_no_slice_of_a_reload_grows_with_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[str]
) -> None:
    for name in (
        "requests.catalog.merging._BETWEEN_YIELDS",
        "requests.catalog.scan._KNOWN_BETWEEN_YIELDS",
        "requests.catalog.folder.listing._ENTRIES_BETWEEN_YIELDS",
        "planning.difference._BETWEEN_YIELDS",
    ):
        monkeypatch.setattr(f"runner.{name}", 10)
    places = [Place(_made(tmp_path / name)) for name in ("few", "many")]
    few, many = (
        longest_slice(place, count, opened) for place, count in zip(places, (40, 200), strict=True)
    )
    assert many < few + 10


def change_calls(place: Place, copies: int) -> int:
    """Return the steps of one edit's decision, once the file has been read, with so
    many requests.
    """
    write_many(place, 1)
    with started(place) as runner:
        (request,), (state,) = runner.registry.requests.values(), runner.registry.states.values()
        more = {
            f"copy-{number}": replace(request, name=f"copy-{number}") for number in range(copies)
        }
        before = {**runner.registry.requests, **more}
        runner.registry.requests = before
        runner.registry.accept(dict.fromkeys(more, state))
        after = {**before, request.name: replace(request, description="edited")}
        reading = Reading(
            catalog=Catalog(folder=place.jobs, requests=after, files=copies),
            touched=frozenset({request.name}),
            git_commit=None,
            begun_s=0.0,
        )

        def change() -> None:
            found = catalog_change.compare(reading, runner.registry)
            assert [name for name, _ in found.changeover.difference.changed] == [request.name]
            catalog_change.decide(found, runner._decisions.begin(), runner.registry)

        change()
        return calls_of(change)


def test_an_edit_takes_as_many_steps_among_a_thousand_as_among_ten(tmp_path: Path) -> None:
    places = [Place(_made(tmp_path / name)) for name in ("few", "many")]
    few, many = (
        change_calls(place, copies) for place, copies in zip(places, (10, 1000), strict=True)
    )
    assert few == many


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.campaign
@pytest.mark.timeout(1200)
def test_campaign_of_a_hundred_thousand_requests(place: Place, opened: list[str]) -> None:
    write_many(place, 100_000)
    with started(place) as runner:
        assert len(runner.registry.requests) == 100_000
    assert len(opened) == 100_000
    opened.clear()
    clock = GivenClock()
    with started(place, clock) as runner:
        assert (len(runner.registry.requests), opened) == (100_000, [])
        place.write("r-050000.yaml", DAILY.format("edited"))
        reload(runner, clock)
        assert set(opened) == {"r-050000.yaml"}
        for _ in range(3):
            runner.turn()
            runner.wait(at_most_s=0)
        assert calls_of(runner.turn) < 300


def shown_by(place: Place, *arguments: str, jobs: Path | None = None) -> str:
    """Return what a command prints, run inside this process."""
    options = ["--jobs", str(jobs or place.jobs), "--state", str(place.state), "--timezone", "UTC"]
    done = CliRunner().invoke(cli, [*arguments, *options])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("arguments", [("validate",), ("ls",), ("next",), ("show", "r-000001")])
def test_a_command_opens_only_what_has_changed_since_another_one(
    place: Place, opened: list[str], arguments: tuple[str, ...]
) -> None:
    write_many(place, 20)
    place.state.mkdir(mode=0o700)
    shown_by(place, "validate")
    assert len(opened) == 20
    opened.clear()
    shown_by(place, *arguments)
    assert opened == []
    place.write("r-000007.yaml", DAILY.format("edited"))
    shown_by(place, *arguments)
    shown_by(place, *arguments)
    assert opened == ["r-000007.yaml"]


def test_a_start_opens_nothing_that_a_command_has_validated(
    place: Place, opened: list[str]
) -> None:
    write_many(place, 20)
    place.state.mkdir(mode=0o700)
    shown_by(place, "validate")
    opened.clear()
    assert len(remembered_by(place)) == 20
    assert opened == []


def test_a_command_without_a_state_folder_makes_none(place: Place, opened: list[str]) -> None:
    write_many(place, 2)
    shown_by(place, "validate")
    assert not place.state.exists()


def test_a_command_on_another_folder_leaves_the_cache_of_the_runner(
    place: Place, opened: list[str], tmp_path: Path
) -> None:
    write_many(place, 2)
    remembered_by(place)
    kept = (place.state / "catalog.jsonl").read_bytes()
    other = tmp_path / "other.d"
    other.mkdir()
    (other / "a.yaml").write_text(DAILY.format("a"))
    for arguments in (("validate",), ("validate", str(other)), ("ls",)):
        jobs = other if len(arguments) == 1 else place.jobs
        shown_by(place, *arguments, jobs=jobs)
        assert (place.state / "catalog.jsonl").read_bytes() == kept
