"""Runners that die at any moment keep the guarantees of runner/README.md, "Stopping and
recovery".
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clock_world import LIBRARY, SetClock
from support.crash_clock import SteppedLoad, uptime_s
from support.crash_clock_oracle import check_stepped, look
from support.crash_following import check_following, declare, waiting_in
from support.crash_load import RAN, Load, Planned
from support.crash_oracle import check, is_settled, read_ledger
from support.marked_points import Point, points
from support.place import GATE, Place, wait_until

from runner.store.opening import read_store
from runner.values import new_id

# Only a hang reaches this limit: on a slow machine many runners take long.
pytestmark = pytest.mark.timeout(900)

STORE = "runner.store.sqlite.store"
LOG = "runner.monitor.log:MonitorLog"
PROCESSES = "runner.execution.processes:Processes"
SPAWNERS = "runner.execution.spawning.spawner_threads:SpawnerThreads"
EXECUTOR = "runner.execution.local_executor:LocalExecutor"
START = "runner.execution.spawning.spawn:spawn"
DISPATCHER = "runner.service.executions.dispatching.dispatcher:Dispatcher"
FOLLOW_UPS = "runner.service.executions.claiming.follow_ups:FollowUps"
IN_PROGRESS = "runner.service.executions.in_progress:InProgress"
JOURNAL = "runner.service.recording.journal:Journal"
LOG_WRITER = "runner.service.recording.log_writer:LogWriter"
PROGRESS = "runner.service.executions.dispatching.progress:Progress"
DEATHS = int(os.environ.get("RUNNER_CRASH_DEATHS") or 200)
DEATHS_A_STORE = 50


POINTS = [
    # the claim
    *points("runner.service.executions.claiming.claims:Claims.claim", moments=("after",)),
    *points(f"{STORE}:SqliteStore.commit"),
    *points(
        f"{STORE}:write_batch", f"{STORE}:forget_records", moments=("after",)
    ),  # inside the transaction
    *points(f"{DISPATCHER}.carry_out"),
    *points(f"{IN_PROGRESS}._hold", moments=("after",)),  # claimed ahead, its time to come
    # its process
    *points(f"{JOURNAL}.note_start"),  # from here on it may have run
    *points(f"{EXECUTOR}.start"),  # the hand-over to a spawner thread
    *points(f"{SPAWNERS}._begins", moments=("after",)),  # a thread has taken it
    *points(START),  # after START it runs, and nobody knows its pid
    *points(f"{SPAWNERS}.finish"),  # the hand-over of the result
    *points(f"{PROCESSES}.enter"),
    *points(f"{PROGRESS}.note_running", moments=("after",)),
    # its exit
    *points(f"{PROCESSES}.reap"),
    *points(f"{PROGRESS}.finish"),
    # its record
    *points(f"{LOG}.append"),
    *points(f"{LOG}._write", moments=("halfway", "after")),  # halfway: a torn line
    *points("runner.monitor.log:_sync"),
    *points(f"{LOG_WRITER}.append", moments=("after",)),  # in the log, not yet marked
    # its follow-ups
    *points(f"{FOLLOW_UPS}._go_on", f"{FOLLOW_UPS}._claim_member"),  # between a member and the next
    *points(f"{FOLLOW_UPS}._try_again", f"{FOLLOW_UPS}._claim_follow_up"),
    *points(
        "runner.service.executions.claiming.claims:Claims.release_waiting",
        f"{IN_PROGRESS}._release",
        moments=("after",),
    ),
    *points(f"{DISPATCHER}._stop"),  # a replaced execution
    # the rest of a turn
    *points(f"{STORE}:SqliteStore.take_commands", moments=("after",)),
    *points("runner.service.reload.catalog_change:compare", moments=("after",)),
]
RECOVERY_POINTS = [
    *points(f"{LOG}.recover"),
    *points(f"{LOG}._write", moments=("halfway",)),
    *points(f"{PROCESSES}.adopt"),
    *points(f"{DISPATCHER}.take_over", moments=("after",)),
    *points(f"{STORE}:SqliteStore.load", moments=("after",)),
    *points(f"{STORE}:SqliteStore.commit"),
]
STOPPING_POINTS = [
    *points(f"{DISPATCHER}.drop_held"),
    *points(f"{JOURNAL}.close"),
    *points("runner.service.loop:Runner._record_stop", moments=("after",)),
]


@pytest.mark.parametrize("point", sorted({*POINTS, *RECOVERY_POINTS, *STOPPING_POINTS}), ids=str)
def test_every_marked_point_names_a_function_of_the_program(point: Point) -> None:
    # A campaign only reports an unreached point, so it would not notice a renamed
    # function.
    owner, name = point.place()
    assert callable(getattr(owner, name))


def _load(place: Place) -> Load:
    seed = int(os.environ.get("RUNNER_CRASH_SEED") or time.time_ns() % 1_000_000)
    print(f"RUNNER_CRASH_SEED={seed}")
    return Load(place=place, chance=random.Random(seed))


def _large(place: Place, *, sets: int = 4) -> Load:
    load = _load(place)
    load.write_large(sets=sets)
    load.further_deeds += [load.pause, load.resume]
    declare(load)
    return load


def _settle(load: Load) -> Counter[str]:
    """Start a runner that may live, wait until nothing is due, stop it, and check
    everything.
    """
    process = load.place.start()
    assert load.place.run("resume").returncode == 0
    settled = datetime.now(UTC)
    _await_settled(load, settled)
    assert load.place.stop(process) == 0, load.place.console()
    return check(load, settled=settled)


def _await_settled(load: Load, settled: datetime) -> None:
    wait_until(
        lambda: is_settled(load.place.records(), load.versions, settled),
        within_s=120,
        what="a verdict of all",
    )


def _ran(load: Load, request: str) -> list[list[str]]:
    return [words for words in read_ledger(load) if words[2] == request]


def _first_death(load: Load) -> float:
    """Start a runner that dies; return the longest life of the next ones, in seconds.

    A life is longer where a start takes long; otherwise no runner would get anything
    done.
    """
    begun_s = time.monotonic()
    process = load.place.start()
    started_s = time.monotonic()
    load.kill(process)
    return max(1.5, 1.5 * (started_s - begun_s))


def _survive(load: Load, rounds: int, *arguments: str) -> Counter[str]:
    at_most_s = _first_death(load)
    for _ in range(rounds):
        load.live_and_die(*arguments, at_most_s=at_most_s)
    return _settle(load)


def test_kill_9_at_random_moments_loses_and_repeats_no_fire(place: Place) -> None:
    load = _large(place, sets=1)
    at_most_s = _first_death(load)
    while len(load.deaths) < 6 or len(read_ledger(load)) < 60:  # as many as needed to hit something
        assert len(load.deaths) < 60, "too little ran"
        load.live_and_die(at_most_s=at_most_s)
    counts = _settle(load)
    print(dict(counts))
    assert counts["executions"] >= 60
    assert counts["alerts"]


@pytest.mark.campaign
@pytest.mark.timeout(7200)
def test_campaign_of_deaths_at_random_moments(place: Place) -> None:
    counts = _survive(_large(place), DEATHS)
    print(dict(counts))
    assert counts["deaths"] == DEATHS + 1


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_campaign_of_deaths_at_random_moments_with_little_room(place: Place) -> None:
    """The same with a low `max_running`, so that almost everything waits."""
    load = _load(place)
    load.write_small()
    declare(load)
    print(dict(_survive(load, DEATHS // 4, "--max-running", "8")))


def _settle_stepped(stepped: SteppedLoad) -> Counter[str]:
    """Start a runner under a steady clock, wait until its intervals continue, stop it
    and check everything.
    """
    begun = uptime_s()  # before it starts: its first executions are of this life
    process = stepped.load.place.start()
    stepped.lives.append((begun, float("inf")))
    stepped.await_ticks(5)
    assert stepped.load.place.stop(process) == 0, stepped.load.place.console()
    return check_stepped(stepped)


@pytest.mark.skipif(
    LIBRARY is None, reason="faketime is not installed (Debian: apt-get install faketime)"
)
def test_kill_9_while_the_clock_steps_loses_repeats_and_misses_no_fire(
    place: Place,
) -> None:
    """Two hours ahead, back while no runner lives, two minutes back, and set right
    while none lives.
    """
    stepped = SteppedLoad(_load(place), SetClock(place))
    stepped.declare_few()
    for while_it_lives, while_none_lives in ((7200, -7200), (-120, 120)):
        stepped.live_and_die_after(while_it_lives)
        stepped.step(while_none_lives)
    counts = _settle_stepped(stepped)
    print(dict(counts))
    assert counts["reopened"] >= 2  # a disturbance may step the clock back as well
    _expect_that_a_wrong_verdict_is_noticed(stepped)


def _expect_that_a_wrong_verdict_is_noticed(stepped: SteppedLoad) -> None:
    """Check that the oracle finds a fire without a verdict, one that ran twice, and one
    that ran although it was missed.
    """
    records = stepped.load.place.records()
    runs = [
        each
        for each in stepped.load.place.finished("clock-cron-skip")
        if each["status"] == "success"
    ]
    run = runs[-1]
    assert look(
        stepped, [each for each in records if each.get("execution") != run["execution"]]
    ).faults
    again = {**run, "execution": new_id(), "generation": run["generation"] + 1}
    assert look(stepped, [*records, again]).faults
    span = dict.fromkeys(("missed_from", "missed_until", "scheduled_for"), run["scheduled_for"])
    miss = {
        **run,
        **span,
        "execution": new_id(),
        "status": "misfired",
        "reason": "missed",
        "missed_count": 1,
    }
    found = look(stepped, [*records, {**miss, "started": None}])
    assert any("falsely missed" in fault for fault in found.faults)


@pytest.mark.campaign
@pytest.mark.skipif(
    LIBRARY is None, reason="faketime is not installed (Debian: apt-get install faketime)"
)
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("number", range(-(-DEATHS // DEATHS_A_STORE)))
def test_campaign_of_deaths_while_the_clock_steps(place: Place, number: int) -> None:
    deaths = min(DEATHS_A_STORE, DEATHS - number * DEATHS_A_STORE)
    stepped = SteppedLoad(_load(place), SetClock(place))
    stepped.declare()
    at_most_s = 3 * _first_death(stepped.load)
    while len(stepped.load.deaths) < deaths:
        stepped.live_and_die(at_most_s=at_most_s)
    print(dict(_settle_stepped(stepped)))


def test_death_at_marked_points_of_the_commit_protocol(place: Place) -> None:
    """One life at each of the most critical points, on one store, with a recovery that
    dies too.
    """
    load = _load(place)
    load.write_small()
    declare(load)
    assert load.doom(f"{STORE}:SqliteStore.commit", "after", 4)
    assert load.doom(f"{LOG}._write", "halfway", 2)
    assert load.doom(f"{LOG}.recover", "after", 1)
    assert load.doom(f"{FOLLOW_UPS}._go_on", "after", 1)
    assert load.doom(START, "after", 2)
    assert load.doom(f"{IN_PROGRESS}._hold", "after", 3)
    assert load.doom(f"{JOURNAL}.note_start", "before", 2)
    assert load.doom(f"{FOLLOW_UPS}._try_again", "after", 1)
    _settle(load)
    _expect_that_a_loss_is_noticed(load)


def _expect_that_a_loss_is_noticed(load: Load) -> None:
    """Check that the oracle finds a removed record of a second attempt."""
    records, ledger, waiting = load.place.records(), read_ledger(load), waiting_in(load)
    attempts = [
        each
        for each in records
        if each.get("channel") == "retry" and each["event"] == "execution.finished"
    ]
    for lost in [each for each in attempts if each["group"] is None][:5]:
        faults, _ = check_following([each for each in records if each is not lost], ledger, waiting)
        assert faults, lost


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_campaign_of_deaths_at_every_marked_point(tmp_path: Path) -> None:
    """Four deaths at each point, and at each point of a recovery after two kinds of death."""
    total: Counter[str] = Counter()
    lives = [[(point, count) for count in (1, 2, 3, 5)] for point in POINTS]
    lives += [
        [death for second in RECOVERY_POINTS for death in ((first, 2), (second, 1))]
        for first in (Point(f"{LOG}._write", "halfway"), Point(START, "after"))
    ]
    for number, deaths in enumerate([*lives, *[[(point, 1)] for point in STOPPING_POINTS]]):
        folder = tmp_path / str(number)
        folder.mkdir()
        load = _load(Place(folder))
        load.write_small()
        declare(load)
        for (target, moment), count in deaths:
            load.order("reschedule", "once")
            is_last = (target, moment) in STOPPING_POINTS
            is_dead = load.doom(target, moment, count, within_s=4, stop=is_last)
            total["died as planned"] += is_dead
            if not is_dead:
                print(f"no runner reached {target} {moment} for time {count}")
        try:
            total.update(_settle(load))
        except AssertionError as error:
            raise AssertionError(f"after {deaths} in {folder}") from error
        total["cases"] += 1
    print(dict(total))


def test_a_process_that_outlives_the_runner_keeps_its_guard_and_is_recorded_at_its_end(
    place: Place,
) -> None:
    load = _load(place)
    done = place.folder / "done"
    load.write(
        "alone", Planned(interval_s=1), shell=f"{RAN}; {GATE}; touch ../{done.name}", guarded=True
    )
    first = place.start()
    (execution, *_) = wait_until(lambda: _ran(load, "alone"))[0][1:]
    wait_until(lambda: place.events("execution.started"))
    load.kill(first)
    second = place.start()
    before = len(
        place.finished("alone", reason="concurrent")
    )  # what the first one refused, too, is reported by now
    place.await_finished("alone", reason="concurrent", count=before + 1, within_s=60)
    place.open_gate()
    (end,) = wait_until(lambda: place.finished("alone", execution=execution), within_s=60)
    assert (end["status"], end["reason"], end["exit_code"]) == (
        "system_restart",
        "runner_lost",
        None,
    )
    assert datetime.fromisoformat(end["ended"]).timestamp() >= done.stat().st_mtime
    load.write("alone", Planned(interval_s=1))
    settled = datetime.now(UTC)
    _await_settled(load, settled)
    assert place.stop(second) == 0
    # Compare starts, not fire times: an execution due just before may rightly begin
    # just after.
    begun = {
        each["execution"]: each["started"] for each in place.events("execution.started", "alone")
    }
    early = [words[1] for words in _ran(load, "alone") if begun[words[1]] < end["ended"]]
    assert early == [execution], "the guard is held for as long as it runs"
    check(load, settled=settled)


def test_a_second_runner_on_the_store_exits_and_says_why(place: Place) -> None:
    first = place.start()
    second = place.run("start", timeout_s=120)
    assert second.returncode == 1
    assert f"in use by another runner (process {first.pid})" in second.stderr
    assert "Traceback" not in second.stderr
    assert place.stop(first) == 0
    assert len(place.events("runner.started")) == 1


def test_sigterm_lets_executions_finish_and_fires_nothing_more(place: Place) -> None:
    load = _load(place)
    load.write("slow", Planned(), shell=f"{RAN}; {GATE}")
    load.write("tick", Planned(interval_s=1))
    process = place.start("--drain", "10m")
    wait_until(
        lambda: place.events("execution.started", "slow") and place.finished("tick"), within_s=60
    )
    process.terminate()
    heard = _await_stop_noticed(place)
    wait_until(
        lambda: datetime.now(UTC) > heard + timedelta(seconds=1.5), what="fires that are none"
    )
    assert (process.poll(), place.finished("slow")) == (None, []), "it waits for what runs"
    place.open_gate()
    assert process.wait(timeout=60) == 0
    (slow,) = place.finished("slow")
    assert slow["status"] == "success"
    assert place.records()[-1]["event"] == "runner.stopped"
    assert (
        max(datetime.fromisoformat(each["scheduled_for"]) for each in place.finished("tick"))
        <= heard
    )
    _settle(load)


def _await_stop_noticed(place: Place) -> datetime:
    """Wait until a runner says that it was asked to stop; return a moment after that."""
    wait_until(lambda: "stopping: " in place.console(), within_s=60, what="the signal is heard")
    return datetime.now(UTC)


def test_a_second_sigterm_stops_executions_at_once(place: Place) -> None:
    load = _load(place)
    load.write("endless", Planned(), shell=f"trap '' TERM; {RAN}; ({GATE}) & wait; {GATE}")
    process = place.start("--drain", "10m")
    wait_until(
        lambda: place.events("execution.started", "endless") and _ran(load, "endless"), within_s=60
    )
    process.terminate()
    _await_stop_noticed(place)  # or the second signal could merge with the first
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.terminate()
    assert process.wait(timeout=60) == 0
    (end,) = place.finished("endless")
    assert (end["status"], end["reason"], end["signal"]) == (
        "killed",
        "runner_stopped",
        signal.SIGKILL,
    )
    _settle(load)


def test_two_signals_before_everything_has_started_leave_nothing_running(place: Place) -> None:
    load = _load(place)
    rare_gate = GATE.replace("3000", "100").replace(
        "sleep 0.1", "sleep 3"
    )  # with that many, poll less often
    for number in range(200):
        load.write(f"endless-{number}", Planned(), shell=rare_gate)
    process = place.start("--drain", "10m")
    wait_until(lambda: place.events("execution.started"), within_s=60)
    process.terminate()
    process.send_signal(
        signal.SIGINT
    )  # a second SIGTERM could merge with the first while that is pending
    assert process.wait(timeout=120) == 0
    ends = Counter((each["status"], each["reason"]) for each in place.events("execution.finished"))
    assert ends == {("killed", "runner_stopped"): 200}
    check(load, settled=datetime.now(UTC))


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small disk with room for the test's own files; skip the test where mounts
    are forbidden.
    """
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=755", "tmpfs", str(disk)]
    if (
        os.geteuid() != 0
        or subprocess.run(command, capture_output=True, check=False).returncode != 0
    ):
        pytest.skip("mounting a small disk needs root")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(disk: Path) -> Path:
    """Fill the disk to the last byte."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    return filler


def test_a_full_disk_under_the_log_delays_only_records(place: Place) -> None:
    """Once with a runner that lives until there is room again, once with two deaths
    before that.
    """
    with _small_disk(place.folder) as disk:
        place.log = disk / "monitor.jsonl"
        place.environment["RUNNER_MONITOR_LOG"] = str(place.log)
        load = _load(place)
        load.write_small()
        process = place.start()
        for is_to_live in (True, False):
            place.await_finished("tick", count=len(place.finished("tick")) + 1, within_s=60)
            filler = _fill(disk)
            wait_until(
                lambda: place.log.stat().st_size % 4096 == 0,
                within_s=60,
                what="a log full up to its last page",
            )
            size = place.log.stat().st_size
            _await_runs(load, "tick", 2)
            assert place.log.stat().st_size == size, "the disk was full"
            if is_to_live:
                filler.unlink()
        load.kill(process)
        successor = load.launch()
        _await_runs(load, "tick", 2)
        load.kill(successor)
        assert place.log.stat().st_size == size, "the disk was full"
        filler.unlink()
        _settle(load)


def test_a_full_disk_under_the_store_stops_fires_which_are_then_recorded_as_missed(
    place: Place,
) -> None:
    with _small_disk(place.folder) as disk:
        place.state = disk / "state"
        place.log = place.folder / "monitor.jsonl"
        place.environment |= {
            "RUNNER_STATE": str(place.state),
            "RUNNER_MONITOR_LOG": str(place.log),
        }
        load = _load(place)
        load.write_small()
        process = place.start()
        place.await_finished("tick", within_s=60)
        with closing(
            read_store(place.store)
        ):  # otherwise the free room in the store's WAL might suffice
            filler = _fill(disk)
            wait_until(
                lambda: "the disk is full" in place.console(), within_s=60, what="the store is full"
            )
            _await_stillness(load, for_s=2.2)
        filler.unlink()
        settled = datetime.now(UTC)
        _await_settled(load, settled)
        assert place.stop(process) == 0
        assert place.finished("tick", status="misfired")
        check(load, settled=settled)


def _await_runs(load: Load, request: str, more: int) -> None:
    wanted = len(_ran(load, request)) + more
    wait_until(lambda: len(_ran(load, request)) >= wanted, within_s=60, what="executions go on")


def _await_stillness(load: Load, *, for_s: float) -> None:
    """Wait until nothing has run for some time."""
    length, since_s = 0, time.monotonic()

    def is_still() -> bool:
        nonlocal length, since_s
        if (now := len(read_ledger(load))) != length:
            length, since_s = now, time.monotonic()
        return time.monotonic() - since_s > for_s

    wait_until(is_still, within_s=60, what="nothing fires")
