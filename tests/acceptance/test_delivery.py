"""However files are delivered, what was delivered is live within its bound, whole, and once; and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from benchmarks.delivery import Outcome, can_be_unnotified, deliver_all, deliver_unnotified, git
from runner_inside import started
from support import check_log

from runner.service.loop import Runner

FEW, MANY = 25, 1000
SLACK_S = 8.0
"""What a machine that is busy with other tests may add; the campaign and the benchmark hold the bounds themselves."""


def check(outcome: Outcome, *, slack_s: float = 0.0) -> None:
    if outcome.is_held_up:
        return
    assert outcome.live == outcome.wanted, f"{outcome.delivery.name}: another catalog was live than was delivered"
    assert outcome.taken_s <= outcome.delivery.bound_s + slack_s, f"{outcome.delivery.name}: too late"


def check_all(folder: Path, files: int, *, slack_s: float = 0.0) -> None:
    """Deliver in all ways, and check by the log that each was one reload, and nothing only half there was refused."""
    outcomes = list(deliver_all(folder, files))
    for each in outcomes:
        check(each, slack_s=slack_s)
    events = [record["event"] for record in check_log(folder / "work" / "state" / "monitor.jsonl")]
    if not any(each.is_held_up for each in outcomes):
        assert events.count("runner.reloaded") == len(outcomes)
        assert "request.rejected" not in events


def test_what_is_delivered_is_live_whole_and_at_once(tmp_path: Path) -> None:
    check_all(tmp_path, FEW, slack_s=SLACK_S)


@pytest.mark.skipif(not can_be_unnotified(), reason="needs a user namespace without inotify")
def test_without_notification_what_is_delivered_is_found(tmp_path: Path) -> None:
    check(deliver_unnotified(tmp_path, FEW), slack_s=SLACK_S)


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_a_thousand_files_are_delivered_within_the_bounds(tmp_path: Path) -> None:
    check_all(tmp_path / "notified", MANY)
    if can_be_unnotified():
        check(deliver_unnotified(tmp_path / "unnotified", MANY))


# --- the loop itself, by a clock that the test moves -----------------------------------------------------------------


@dataclass
class GivenClock:
    """Wall and elapsed time that only `turns` moves."""

    passed_s: float = 0.0

    def now(self) -> datetime:
        return datetime(2026, 3, 2, 12, tzinfo=UTC) + timedelta(seconds=self.passed_s)

    def elapsed_s(self) -> float:
        return self.passed_s


TURN_S = 0.05


def seconds_until(so: Callable[[], object], runner: Runner, clock: GivenClock, *, within_s: float) -> float:
    """Let the loop turn until something is so; return how long that took by its clock."""
    begun_s = clock.passed_s
    while not so():
        assert clock.passed_s - begun_s < within_s
        runner.turn()
        runner.wait(at_most_s=0.001)
        clock.passed_s += TURN_S
    return clock.passed_s - begun_s


def declare(jobs: Path, name: str, description: str = "") -> None:
    (jobs / f"{name}.yaml").write_text(f'description: "{description}"\nprocess: {{command: ["true"]}}\n')


@pytest.fixture
def clock() -> GivenClock:
    return GivenClock()


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    (tmp_path / "jobs.d").mkdir()
    declare(tmp_path / "jobs.d", "one")
    return tmp_path / "jobs.d"


def test_a_folder_that_is_missing_at_the_start_is_read_once_it_is_there(jobs: Path, clock: GivenClock) -> None:
    jobs.rename(jobs.with_name("later"))
    with started(jobs, clock) as runner:
        assert not runner.registry.requests
        jobs.with_name("later").rename(jobs)
        seconds_until(lambda: runner.registry.requests, runner, clock, within_s=1.0)


def test_a_folder_that_goes_away_keeps_its_requests_and_comes_back(jobs: Path, clock: GivenClock) -> None:
    with started(jobs, clock) as runner:
        jobs.rename(jobs.with_name("away"))
        seconds_until(lambda: runner.registry.is_kept_whole, runner, clock, within_s=1.0)
        assert list(runner.registry.requests) == ["one"]
        declare(jobs.with_name("away"), "two")
        jobs.with_name("away").rename(jobs)
        seconds_until(lambda: not runner.registry.is_kept_whole, runner, clock, within_s=1.0)
        assert sorted(runner.registry.requests) == ["one", "two"]


def test_gits_lock_holds_a_reload_back_for_ten_seconds_and_no_longer(jobs: Path, clock: GivenClock) -> None:
    git(jobs.parent, "init", "-q")
    with started(jobs, clock) as runner:
        lock = jobs.parent / ".git" / "index.lock"
        lock.touch()
        declare(jobs, "two")
        taken_s = seconds_until(lambda: "two" in runner.registry.requests, runner, clock, within_s=17.0)
        assert taken_s >= 10.0
        declare(jobs, "three")
        seconds_until(lambda: clock.passed_s > taken_s + 2.0, runner, clock, within_s=3.0)
        assert "three" not in runner.registry.requests
        lock.unlink()
        seconds_until(lambda: "three" in runner.registry.requests, runner, clock, within_s=1.0)


def test_noise_beside_the_requests_does_not_hold_an_edit_back(jobs: Path, clock: GivenClock) -> None:
    """As of a process that writes its own files into its folder, which is that of its request."""
    with started(jobs, clock) as runner:

        def is_live() -> bool:
            (jobs / "output.txt").write_text(f"{clock.passed_s}")
            return "two" in runner.registry.requests

        seconds_until(lambda: is_live() or clock.passed_s > 0.3, runner, clock, within_s=1.0)
        declare(jobs, "two")
        seconds_until(is_live, runner, clock, within_s=1.2)


def test_a_folder_that_never_stops_changing_is_read_after_ten_seconds(jobs: Path, clock: GivenClock) -> None:
    with started(jobs, clock) as runner:

        def is_live() -> bool:
            declare(jobs, "one", f"{clock.passed_s}")
            return runner.registry.requests["one"].description != ""

        taken_s = seconds_until(is_live, runner, clock, within_s=12.0)
        assert taken_s >= 10.0, "nothing half-written is read before"
