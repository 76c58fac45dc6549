"""Disks, stores and logs that fail in many ways: the runner reports each failure,
recovers, and loses nothing else.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from loguru import logger
from support.crash_following import declare
from support.crash_load import Load
from support.crash_oracle import check, is_settled, read_ledger
from support.fork_server import Process
from support.outputs_world import outputs_world
from support.place import GATE, SECONDLY, Place, Record, wait_until
from support.runner_inside import started

from runner.errors import StoreError, StoreUnwritableError
from runner.planning.retention import NEWEST_RESULTS
from runner.service.loop import Runner
from runner.store.opening import own_store, read_store
from runner.store.place import StorePlace
from runner.store.protocol import Store
from runner.store.rows import Batch, ExecutionRow, Mark, Phase, ResultRow
from runner.store.sqlite import schema
from runner.system.clock import Clock, SystemClock
from runner.values import new_id

# Only a hang reaches this limit, not a disk that syncs slowly.
pytestmark = pytest.mark.timeout(600)


def _runner(place: Place, clock: Clock | None = None) -> AbstractContextManager[Runner]:
    return started(place.jobs, clock or SystemClock(), state=place.state, log=place.log)


def _go_on(runner: Runner, until: Callable[[], object]) -> None:
    def turn() -> object:
        runner.turn()
        runner.wait(at_most_s=0.05)
        return until()

    wait_until(turn, within_s=60)


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if (
        os.geteuid() != 0
        or subprocess.run(command, capture_output=True, check=False).returncode != 0
    ):
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


# --- the store
# --------------------------------------------------------------------------------------


def test_fires_that_fall_due_while_the_store_is_read_only_are_missed(place: Place) -> None:
    with _mounted(place.folder / "disk", "size=8m,mode=755") as disk:
        place.state, place.log = disk, place.folder / "monitor.jsonl"
        place.declare("tick", "true", SECONDLY)
        with _runner(place) as runner:
            _go_on(runner, lambda: place.finished("tick") and not runner.is_executing)
        before = place.log.read_bytes()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        with (
            pytest.raises(StoreError, match=r"cannot be used: Read-only file system"),
            _runner(place),
        ):
            pass
        assert place.log.read_bytes() == before
        latest = _fires(place, "tick")[-1]
        wait_until(
            lambda: (datetime.now(UTC) - latest).total_seconds() > 2.1, what="a fire that is missed"
        )
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        with _runner(place) as runner:
            _go_on(
                runner,
                lambda: place.finished("tick", status="misfired") and not runner.is_executing,
            )
    fires, missed = _fires(place, "tick"), place.finished("tick", status="misfired")
    assert (fires[-1] - fires[0]).total_seconds() == len(fires) - 1 + sum(
        each["missed_count"] - 1 for each in missed
    )


def _fires(place: Place, request: str) -> list[datetime]:
    """Return the fires that have a verdict; of each missed span the last one.

    Executions need not end in order.
    """
    return sorted(datetime.fromisoformat(each["scheduled_for"]) for each in place.finished(request))


def _spoil_randomly(path: Path, chance: random.Random) -> str:
    """Damage a store at random; return a description."""
    content = bytearray(path.read_bytes())
    match chance.choice(["pages", "bytes", "letters", "shorter", "nothing", "text", "newer"]):
        case "pages":
            page = chance.randrange(len(content) // 4096)
            content[page * 4096 : (page + 1) * 4096] = chance.randbytes(4096)
            what = f"page {page}"
        case "bytes":
            at = chance.randrange(len(content) - 16)
            content[at : at + 16] = chance.randbytes(16)
            what = f"16 bytes at {at}"
        case "letters":
            at = chance.randrange(len(content) - 4)
            content[at : at + 4] = b"@'{0"
            what = f"4 letters at {at}"
        case "shorter":
            del content[chance.randrange(1, len(content)) :]
            what = f"cut to {len(content)}"
        case "nothing":
            content.clear()
            what = "no byte left"
        case "text":
            content = bytearray(b"name: nightly\n" * 400)
            what = "text"
        case _:
            content[60:64] = (len(schema.MIGRATIONS) + 1).to_bytes(
                4, "big"
            )  # where SQLite has `user_version`
            what = "a newer version"
    path.write_bytes(content)
    return what


def _expect_refused_or_whole(place: Place, seeds: range) -> dict[str, int]:
    """Damage the store of a place in many ways: each is refused with a message, or the
    store works.
    """
    path, counts = place.state / "store.sqlite3", {"refused": 0, "used": 0}
    good, log = path.read_bytes(), place.log.read_bytes()
    for seed in seeds:
        path.write_bytes(good)
        what = _spoil_randomly(path, random.Random(seed))
        spoilt = path.read_bytes()
        try:
            with _runner(place):
                pass
            counts["used"] += 1
            assert what not in {"text", "a newer version", "no byte left"}
            place.log.write_bytes(log)
        except StoreError as error:
            counts["refused"] += 1
            assert str(path) in str(error), f"seed {seed}, {what}"
            is_found_late = "a row in it cannot be read" in str(
                error
            )  # by then it knows how long the log is
            assert place.log.read_bytes() == log, f"seed {seed}, {what}"
            assert is_found_late or path.read_bytes() == spoilt, f"seed {seed}, {what}"
        except Exception as error:
            raise AssertionError(f"seed {seed}, {what}") from error
    path.write_bytes(good)
    return counts


def _fill(place: Place) -> None:
    for number in range(30):
        place.declare(
            f"daily-{number}",
            "true #" + "x" * 2000,
            {"schedule": {"frequency": "daily", "at": "02:00"}},
        )
    with _runner(place):
        pass


def test_a_damaged_store_is_refused_with_a_message_and_left_unchanged(place: Place) -> None:
    _fill(place)
    counts = _expect_refused_or_whole(place, range(8))
    assert counts["refused"] >= 4


@pytest.mark.campaign
@pytest.mark.timeout(900)
def test_campaign_of_damaged_stores(place: Place) -> None:
    _fill(place)
    print(_expect_refused_or_whole(place, range(1000)))


def test_the_advice_for_a_damaged_store_keeps_the_log_and_lists_what_will_run_again(
    place: Place,
) -> None:
    place.declare("once", "echo ran", "run_immediately")
    with _runner(place) as runner:
        _go_on(runner, lambda: place.finished("once"))
    log = place.log.read_bytes()
    store = place.state / "store.sqlite3"
    store.write_bytes(random.Random(1).randbytes(20_000))
    refused = place.run("start")
    assert (refused.returncode, "Traceback" in refused.stderr) == (1, False)
    found = re.search(r"start again: (.+?)\. The monitor log stays as it is", refused.stderr)
    assert found is not None, refused.stderr
    subprocess.run(["/bin/sh", "-c", found[1]], check=True)
    anew = place.start()
    what = "the store is new: 1 run-immediately request will run now"
    wait_until(lambda: what in place.console(), what=what)
    place.await_finished("once", count=2)
    assert place.stop(anew) == 0
    assert place.log.read_bytes().startswith(log), "the reported lines stay"


def test_follow_ups_that_the_store_refused_before_a_stop_run_after_the_next_start(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [{"name": "a", "shell": GATE}, {"name": "b", "shell": "true"}]
    place.write(
        "chain.yaml",
        json.dumps({"process": {"group": {"members": members}}, "timing": "run_immediately"}),
    )

    def refuse(_batch: Batch, **_more: object) -> tuple[()]:
        raise StoreUnwritableError("the store is kept locked")

    with _runner(place) as runner, monkeypatch.context() as patch:
        _go_on(runner, lambda: place.events("execution.started", process="chain/a"))
        patch.setattr(runner._parts.store, "commit", refuse, raising=False)
        place.open_gate()
        _go_on(runner, lambda: runner._dispatcher.ended)
        patch.undo()  # the runner stops at the moment at which the store is writable again
    with _runner(place) as runner:
        _go_on(runner, lambda: place.finished("chain", process="chain"))
        assert list(runner.in_progress) == []


# --- the monitor log
# --------------------------------------------------------------------------------------


@pytest.mark.campaign
def test_a_log_folder_that_disappears_and_returns_loses_no_record(place: Place) -> None:
    folder, aside = place.folder / "disk", place.folder / "aside"
    place.log = folder / "logs" / "monitor.jsonl"
    place.log.parent.mkdir(parents=True)
    place.environment["RUNNER_MONITOR_LOG"] = str(place.log)
    load = Load(place=place, chance=random.Random(1))
    load.write_small()
    declare(load)
    process = place.start()
    for is_to_live in (True, False):
        place.await_finished("tick", count=len(place.finished("tick")) + 1, within_s=60)
        times = place.console().count("the folder")
        folder.rename(aside)
        _await_console(place, "the folder", times + 1)
        _await_ticks(load, 2)
        if not is_to_live:
            load.kill(process)
            process = load.launch()
            _await_ticks(load, 2)
        aside.rename(folder)
    _settle(load, place.records, process)


def _await_console(place: Place, text: str, times: int) -> None:
    wait_until(
        lambda: place.console().count(text) >= times, within_s=60, what=f"{text} on the console"
    )


def _await_ticks(load: Load, more: int) -> None:
    def count() -> int:
        return sum(words[2] == "tick" for words in read_ledger(load))

    wanted = count() + more
    wait_until(lambda: count() >= wanted, within_s=60, what="executions go on")


def _settle(load: Load, records: Callable[[], list[Record]], process: Process) -> None:
    settled = datetime.now(UTC)
    wait_until(
        lambda: is_settled(records(), load.versions, settled), within_s=120, what="a verdict of all"
    )
    assert load.place.stop(process) == 0
    _join(load.place)
    print(dict(check(load, settled=settled)))


def _rotated(place: Place) -> list[Path]:
    """Return the rotated logs, oldest first."""
    files = [each for each in place.log.parent.glob("monitor.jsonl.*") if each.suffix != ".new"]
    return sorted(files, key=lambda each: -int(each.name.removesuffix(".gz").rpartition(".")[2]))


def _whole(place: Place) -> list[Record]:
    """Return all records of the log and its rotated files; a repeat from a compressed
    file has the same id.
    """
    lines: dict[str, Record] = {}
    for path in (*_rotated(place), place.log):
        try:
            content = (
                gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            )
        except (FileNotFoundError, EOFError, gzip.BadGzipFile):
            return []  # logrotate is running
        for line in content[: content.rfind(b"\n") + 1].splitlines():
            record = json.loads(line)
            assert lines.setdefault(record["id"], record) == record, "a repeat is the same"
    return list(lines.values())


def _join(place: Place) -> None:
    """Join all files into one log."""
    records = _whole(place)
    place.log.write_text("".join(json.dumps(record) + "\n" for record in records))


def _rotate(place: Place) -> None:
    """Rename and compress at once, as `logrotate` does with `compress` and without
    `delaycompress`.
    """
    if logrotate := shutil.which("logrotate", path="/usr/sbin:/usr/bin"):
        rules = place.folder / "rules"
        rules.write_text(
            f"{place.log} {{\n size 1\n rotate 1000\n compress\n missingok\n nocreate\n}}\n"
        )
        rules.chmod(0o644)
        status = str(place.folder / "logrotate.status")
        subprocess.run([logrotate, "-f", "-s", status, str(rules)], check=True, capture_output=True)
        return
    number = len(_rotated(place)) + 1
    renamed = place.log.with_name(f"monitor.jsonl.{1000 - number}")
    place.log.rename(renamed)
    subprocess.run(["gzip", str(renamed)], check=True)


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_a_log_that_logrotate_compresses_loses_no_record_even_when_runners_die(
    place: Place,
) -> None:
    place.state.mkdir(mode=0o700)
    load = Load(place=place, chance=random.Random(2))
    load.write_small()
    declare(load)
    process = load.launch()
    wait_until(place.log.exists)
    for round_ in range(40):
        _rotate(place)
        wait_until(place.log.exists, what="a new file")
        if round_ % 4 == 3:
            load.kill(process)
            process = load.launch()
    _settle(load, lambda: _whole(place), process)


@pytest.mark.parametrize(
    "moved", ["old/monitor.jsonl", "archive.log"], ids=["other folder", "other name"]
)
def test_a_log_moved_before_an_idle_runner_is_killed_repeats_no_record(
    place: Place, moved: str
) -> None:
    place.declare("once", "true", "run_immediately")
    process = place.start()
    place.await_finished("once")
    wait_until(lambda: not _waiting_records(place), what="an idle runner commits its mark")
    rotated = _move_log(place, moved)
    process.kill()
    process.wait(timeout=60)
    assert place.stop(place.start()) == 0
    _expect_unique(rotated, place.log)


@pytest.mark.parametrize(
    ("target", "moment", "count"),
    [
        ("append", "before", 4),
        ("_write", "halfway", 3),
        ("_write", "after", 3),
        ("append", "after", 4),
    ],
)
@pytest.mark.parametrize(
    "moved", ["old/monitor.jsonl", "archive.log"], ids=["other folder", "other name"]
)
def test_a_log_moved_away_after_a_death_at_a_marked_point_is_completed_where_it_is(
    place: Place, moved: str, target: str, moment: str, count: int
) -> None:
    load = Load(place=place, chance=random.Random(1))
    load.write_small()
    assert load.doom(f"runner.monitor.log:MonitorLog.{target}", moment, count)
    rotated = _move_log(place, moved)
    process = load.launch()
    place.await_finished("tick")
    settled = datetime.now(UTC)
    wait_until(
        lambda: is_settled(_records_of(rotated, place.log), load.versions, settled),
        within_s=120,
        what="a verdict of all",
    )
    assert place.stop(process) == 0
    _expect_unique(rotated, place.log)
    place.log.write_bytes(rotated.read_bytes() + place.log.read_bytes())
    check(load, settled=settled)


def _waiting_records(place: Place) -> range:
    with closing(read_store(place.store)) as reader:
        return reader.snapshot().outbox


def _move_log(place: Place, moved: str) -> Path:
    target = place.log.parent / moved
    target.parent.mkdir(exist_ok=True)
    return place.log.rename(target)


def _records_of(*paths: Path) -> list[Record]:
    contents = [path.read_bytes() for path in paths if path.exists()]
    return [
        json.loads(line) for each in contents for line in each[: each.rfind(b"\n") + 1].splitlines()
    ]


def _expect_unique(rotated: Path, log: Path) -> None:
    assert rotated.read_bytes().endswith(b"\n"), "the torn line was completed"
    identities = [record["id"] for record in _records_of(rotated, log)]
    assert len(identities) == len(set(identities))


def test_a_log_truncated_by_copytruncate_continues_with_whole_lines_and_a_warning(
    place: Place,
) -> None:
    """The lines between the copy and the truncation are lost, and no program can know them."""
    place.declare("before", "true", "run_immediately")
    reported: list[str] = []
    handler = logger.add(lambda message: reported.append(str(message)), level="WARNING")
    try:
        with _runner(place) as runner:
            _go_on(runner, lambda: place.finished("before"))
            os.truncate(place.log, 0)
            place.declare("after", "true", "run_immediately")
            _go_on(runner, lambda: place.finished("after"))
    finally:
        logger.remove(handler)
    (warning,) = [each for each in reported if "rotate it by renaming" in each]
    assert f"the monitor log {place.log} was truncated" in warning


# --- the console, and what is kept
# --------------------------------------------------------------------------------------


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_campaign_of_pruning_a_hundred_thousand_outputs(tmp_path: Path) -> None:
    """Report the longest slice, for which the loop pauses, and the whole round."""
    with outputs_world(tmp_path) as world:
        world.serve(keep_count=0)
        ids = [new_id() for _ in range(100_000)]
        for execution in ids[::2]:
            world.output(execution)
            world.output(execution[:-1] + "x")  # a stray, which goes by its age
        world.store.commit(
            Batch(
                results=[
                    ResultRow(execution, "p", "direct", "success", None, n, 1, n, n, 0)
                    for n, execution in enumerate(ids[::2])
                ]
            )
        )
        pruning = world.pruning()
        world.clock.go_on(timedelta(days=60))
        pruning.advance()
        slices = [time.perf_counter()]
        while pruning.next_s <= world.clock.elapsed_s():
            pruning.advance()
            slices.append(time.perf_counter())
        durations = [later - earlier for earlier, later in pairwise(slices)]
        print(
            f"100000 removed in {sum(durations):.1f} s, {len(durations)} slices, the "
            f"longest {max(durations) * 1e3:.0f} ms"
        )
        assert world.outputs() == set()
        assert len(world.results()) == NEWEST_RESULTS


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_campaign_of_a_month_of_a_million_executions(tmp_path: Path) -> None:
    """Commit claims, starts and ends as the loop does, a hundred at once; report the
    store's size and opening.
    """
    sizes, opened_s, number = [], [], 0
    for _part in range(10):
        begun_s = time.perf_counter()
        with closing(own_store(StorePlace(folder=tmp_path))) as store:
            store.load()
            opened_s.append(time.perf_counter() - begun_s)
            for _batch in range(1000):
                number = _commit_hundred(store, number)
        sizes.append((tmp_path / "store.sqlite3").stat().st_size)
    print(
        f"{number} executions; store after each tenth {sizes} bytes; opened in "
        f"{[round(s, 3) for s in opened_s]} s"
    )
    assert number == 1_000_000
    assert sizes[-1] <= 2 * sizes[0]


def _commit_hundred(store: Store, number: int) -> int:
    rows = {
        f"{n:036}": ExecutionRow(
            id=f"{n:036}",
            request=f"r{n % 100}",
            generation=1,
            scheduled_for=n,
            attempt=1,
            sequence=0,
            phase=Phase.STARTING,
            pid=None,
            pid_started=None,
            body="x" * 600,
        )
        for n in range(number, number + 100)
    }
    store.commit(Batch(executions=rows))
    running = {
        key: row._replace(phase=Phase.RUNNING, pid=1, pid_started=2) for key, row in rows.items()
    }
    store.commit(Batch(executions=running, records=[b"s" * 600] * 100))
    numbered = store.commit(Batch(ended=list(rows), records=[b"e" * 900] * 100))
    store.commit(Batch(), appended=(numbered[-1][0], Mark(file=1, offset=number)))
    return number + 100


# --- git
# --------------------------------------------------------------------------------------


@dataclass
class _GivenClock:
    """Time that only the test moves."""

    passed_s: float = 1000.0

    def now(self) -> datetime:
        return datetime(2026, 3, 2, 12, tzinfo=UTC) + timedelta(seconds=self.passed_s)

    def elapsed_s(self) -> float:
        return self.passed_s


def test_a_stale_git_lock_delays_a_reload_by_ten_seconds_at_most(place: Place) -> None:
    subprocess.run(["git", "init", "--quiet", str(place.folder)], check=True)
    place.declare("one", "true")
    clock = _GivenClock()
    with _runner(place, clock) as runner:
        (place.folder / ".git" / "index.lock").touch()
        place.declare("two", "true")
        runner._parts.reloader.look_again()
        for _ in range(98):
            clock.passed_s += 0.1
            runner.turn()
            runner.wait(at_most_s=0)
        assert "two" not in runner.registry.requests
        clock.passed_s += 0.3
        _go_on(runner, lambda: "two" in runner.registry.requests)
