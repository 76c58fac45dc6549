"""Files delivered in every usual way are in force within their bound, completely and once."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from benchmarks.delivery import (
    DELIVERIES,
    LATEST_S,
    Outcome,
    Site,
    can_be_unnotified,
    deliver_all,
    deliver_unnotified,
    is_possible,
    outcome,
    version,
)  # fmt: skip
from benchmarks.service import RUNNER
from support.git import git
from support.place import check_log, wait_until
from support.runner_inside import started
from watchdog.events import FileClosedEvent, FileSystemEvent

from runner.requests.catalog import scan
from runner.requests.catalog.folder.changed_paths import ChangedPaths
from runner.service.loop import Runner
from runner.watching.watched_links import WakingHandler

FEW, MANY = 25, 1000
SLACK_S = 25.0
"""What a machine that is busy with other tests may add; the campaign and the benchmark
hold the bounds themselves.
"""
ROUNDS = 4
"""A busy machine may delay the writer, or the notifications, for so long that the folder
is quiet during a delivery. The runner then reads it early, as it should. One round out
of this many passes without such a delay.
"""


def check(outcome: Outcome) -> None:
    if outcome.is_held_up:
        return
    assert outcome.live == outcome.wanted, (
        f"{outcome.delivery.name}: the catalog in force differs from the delivered one"
    )
    assert outcome.taken_s <= outcome.delivery.bound_s, f"{outcome.delivery.name}: too late"


def check_all(folder: Path, files: int) -> None:
    """Deliver in all ways; check in the log that each delivery made one reload without
    rejections.
    """
    outcomes = list(deliver_all(folder, files))
    for each in outcomes:
        check(each)
    events = [record["event"] for record in check_log(folder / "work" / "state" / "monitor.jsonl")]
    if not any(each.is_held_up for each in outcomes):
        assert events.count("runner.reloaded") == len(outcomes)
        assert "request.rejected" not in events


def is_good(outcome: Outcome) -> bool:
    """Return whether the first reload held a whole delivery, and came in time."""
    return outcome.is_right and outcome.taken_s <= outcome.delivery.bound_s + SLACK_S


def well_delivered(folder: Path, files: int) -> set[str]:
    """Deliver in all ways; return those by which all was live by one reload, and
    nothing only half there was refused.

    That what was delivered is live in the end is required of each.
    """
    wanted = version(0, files)
    site = Site(folder, wanted)
    service, well = site.service, set()
    with service.running() as site.runner:
        for number, delivery in enumerate(filter(is_possible, DELIVERIES), 1):
            since = service.log.stat().st_size
            wanted = (
                version(number, files)
                if delivery.is_tree
                else {**wanted, min(wanted): f"edited {number}"}
            )
            found = outcome(site, delivery, wanted)

            def is_live(wanted: dict[str, str] = wanted) -> bool:
                return site.live() == wanted

            service.wait_for(site.runner, is_live, within_s=LATEST_S)
            reloads, refused = (
                service.records(event, since=since)
                for event in ("runner.reloaded", "request.rejected")
            )
            if is_good(found) and len(reloads) == 1 and not refused:
                well.add(delivery.name)
            else:  # a late note of it must not count for the next
                subprocess.run(
                    [*RUNNER, "reload"],
                    env=service.environment,
                    capture_output=True,
                    check=True,
                    timeout=60,
                )
    check_log(service.log)
    return well


@pytest.mark.timeout(240)
def test_a_delivery_is_in_force_within_its_bound_by_one_reload(tmp_path: Path) -> None:
    left = {delivery.name for delivery in filter(is_possible, DELIVERIES)}
    for number in range(ROUNDS):
        left -= well_delivered(tmp_path / f"{number}", FEW)
        if not left:
            return
    raise AssertionError(f"never live whole and by one reload: {', '.join(sorted(left))}")


@pytest.mark.timeout(240)
@pytest.mark.skipif(not can_be_unnotified(), reason="needs a user namespace without inotify")
def test_a_delivery_without_notification_is_found(tmp_path: Path) -> None:
    assert any(is_good(deliver_unnotified(tmp_path / f"{number}", FEW)) for number in range(ROUNDS))


@pytest.mark.campaign
@pytest.mark.timeout(300)
def test_a_thousand_files_are_in_force_within_the_bounds(tmp_path: Path) -> None:
    check_all(tmp_path / "notified", MANY)
    if can_be_unnotified():
        check(deliver_unnotified(tmp_path / "unnotified", MANY))


# --- the loop itself, by a clock that the test moves
# -----------------------------------------------------------------


@dataclass
class GivenClock:
    """Wall and monotonic time that only `turns` advances."""

    passed_s: float = 0.0

    def now(self) -> datetime:
        return datetime(2026, 3, 2, 12, tzinfo=UTC) + timedelta(seconds=self.passed_s)

    def elapsed_s(self) -> float:
        return self.passed_s


TURN_S = 0.05


def seconds_until(
    so: Callable[[], object], runner: Runner, clock: GivenClock, *, within_s: float
) -> float:
    """Let the loop turn until a condition holds; return the seconds that passed on its
    clock.
    """
    begun_s = clock.passed_s
    while not so():
        assert clock.passed_s - begun_s < within_s
        runner.turn()
        runner.wait(at_most_s=0.001)
        if (reading := runner._parts.reader._pending) is not None:
            reading.wait(LATEST_S)  # its thread does not use the test's clock
        clock.passed_s += TURN_S
    return clock.passed_s - begun_s


def declare(jobs: Path, name: str) -> None:
    (jobs / f"{name}.yaml").write_text(text_of(""))


def text_of(description: str) -> str:
    return f'description: "{description}"\nprocess: {{command: ["true"]}}\n'


class Notes:
    """Count, by file name, the notes of the watcher's threads, which do not use the
    test's clock.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._closed: Counter[str] = Counter()
        dispatch = WakingHandler.dispatch

        def note(handler: WakingHandler, event: FileSystemEvent) -> None:
            dispatch(handler, event)
            if isinstance(event, FileClosedEvent):
                self._closed[Path(str(event.src_path)).name] += 1

        monkeypatch.setattr(WakingHandler, "dispatch", note)

    def of(self, path: Path, runner: Runner, text: str) -> None:
        """Write a file, and let the runner notice it before its clock moves."""
        before = self._closed[path.name]
        path.write_text(text)
        wait_until(
            lambda: self._closed[path.name] > before, what=f"{path} is noticed"
        )  # the last step of a write
        runner.wait(at_most_s=0.0)

    def declare(self, jobs: Path, runner: Runner, name: str, description: str = "") -> None:
        """Write a request in the same way."""
        self.of(jobs / f"{name}.yaml", runner, text_of(description))


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Notes:
    return Notes(monkeypatch)


@pytest.fixture
def clock() -> GivenClock:
    return GivenClock()


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    (tmp_path / "jobs.d").mkdir()
    declare(tmp_path / "jobs.d", "one")
    return tmp_path / "jobs.d"


def test_a_folder_that_is_missing_at_the_start_is_read_once_it_is_there(
    jobs: Path, clock: GivenClock
) -> None:
    jobs.rename(jobs.with_name("later"))
    with started(jobs, clock) as runner:
        assert not runner.registry.requests
        jobs.with_name("later").rename(jobs)
        seconds_until(lambda: runner.registry.requests, runner, clock, within_s=1.0)


def test_requests_of_a_folder_that_disappears_are_kept_until_it_returns(
    jobs: Path, clock: GivenClock
) -> None:
    with started(jobs, clock) as runner:
        jobs.rename(jobs.with_name("away"))
        seconds_until(lambda: runner.registry.is_kept_whole, runner, clock, within_s=1.0)
        assert list(runner.registry.requests) == ["one"]
        declare(jobs.with_name("away"), "two")
        jobs.with_name("away").rename(jobs)
        seconds_until(lambda: not runner.registry.is_kept_whole, runner, clock, within_s=1.0)
        assert sorted(runner.registry.requests) == ["one", "two"]


def test_the_index_lock_of_git_delays_a_reload_by_ten_seconds_at_most(
    jobs: Path, clock: GivenClock, reported: Notes
) -> None:
    git(jobs.parent, "init", "-q")
    with started(jobs, clock) as runner:
        lock = jobs.parent / ".git" / "index.lock"
        lock.touch()
        reported.declare(jobs, runner, "two")
        taken_s = seconds_until(
            lambda: "two" in runner.registry.requests, runner, clock, within_s=17.0
        )
        assert taken_s >= 10.0
        reported.declare(jobs, runner, "three")
        seconds_until(lambda: clock.passed_s > taken_s + 2.0, runner, clock, within_s=3.0)
        assert "three" not in runner.registry.requests
        lock.unlink()
        seconds_until(lambda: "three" in runner.registry.requests, runner, clock, within_s=1.0)


def test_other_files_that_change_in_the_folder_do_not_delay_an_edit(
    jobs: Path, clock: GivenClock, reported: Notes
) -> None:
    """A process may write its own files into the folder of its request."""
    with started(jobs, clock) as runner:

        def is_live() -> bool:
            reported.of(jobs / "output.txt", runner, f"{clock.passed_s}")
            return "two" in runner.registry.requests

        seconds_until(lambda: is_live() or clock.passed_s > 0.3, runner, clock, within_s=1.0)
        reported.declare(jobs, runner, "two")
        seconds_until(is_live, runner, clock, within_s=1.2)


@pytest.mark.timeout(240)
def test_a_folder_that_never_stops_changing_is_read_after_ten_seconds(
    jobs: Path, clock: GivenClock, reported: Notes
) -> None:
    with started(jobs, clock) as runner:

        def is_live() -> bool:
            reported.declare(jobs, runner, "one", f"{clock.passed_s}")
            return runner.registry.requests["one"].description != ""

        taken_s = seconds_until(is_live, runner, clock, within_s=12.0)
        assert taken_s >= 10.0, "nothing half-written is read before"


@pytest.fixture
def walks(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The walks of the whole jobs folder, without those of a resync."""
    walked: list[Path] = []
    walk = scan.JobFiles._walk

    def noted(files: scan.JobFiles, *, is_first: bool) -> Generator[None, None, bool]:
        walked.append(files._folder)
        return walk(files, is_first=is_first)

    monkeypatch.setattr(scan.JobFiles, "_walk", noted)
    return walked


def replace(path: Path, text: str) -> None:
    """Replace a file as `git checkout` does."""
    path.with_name(".new").write_text(text)
    path.with_name(".new").rename(path)


FILE_CHANGES: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "an edit": (
        lambda jobs: (jobs / "two.yaml").write_text(text_of("edited")),
        {"one": "", "two": "edited"},
    ),
    "a removal": (lambda jobs: (jobs / "two.yaml").unlink(), {"one": ""}),
    "a rename": (
        lambda jobs: (jobs / "two.yaml").rename(jobs / "three.yaml"),
        {"one": "", "three": ""},
    ),
    "an atomic replacement": (
        lambda jobs: replace(jobs / "two.yaml", text_of("replaced")),
        {"one": "", "two": "replaced"},
    ),
    "a file in a folder below": (
        lambda jobs: (jobs / "below/three.yaml").write_text(text_of("")),
        {"one": "", "two": "", "three": ""},
    ),
}


@pytest.mark.parametrize(("change", "wanted"), FILE_CHANGES.values(), ids=FILE_CHANGES.keys())
def test_a_change_of_one_file_is_in_force_without_a_walk_of_the_folder(
    jobs: Path,
    clock: GivenClock,
    walks: list[Path],
    change: Callable[[Path], object],
    wanted: dict[str, str],
) -> None:
    declare(jobs, "two")
    (jobs / "below").mkdir()
    with started(jobs, clock) as runner:
        seconds_until(lambda: clock.passed_s > 1.0, runner, clock, within_s=2.0)
        walks.clear()
        change(jobs)
        wait_for_turns(lambda: descriptions(runner) == wanted, runner, clock)
        assert not walks


def test_a_new_folder_with_files_is_in_force(jobs: Path, clock: GivenClock) -> None:
    with started(jobs, clock) as runner:
        (jobs.parent / "made").mkdir()
        declare(jobs.parent / "made", "two")
        (jobs.parent / "made").rename(jobs / "made")
        wait_for_turns(lambda: descriptions(runner) == {"one": "", "two": ""}, runner, clock)
        (jobs / "later").mkdir()
        declare(jobs / "later", "three")
        wait_for_turns(lambda: "three" in descriptions(runner), runner, clock)


@pytest.mark.parametrize("reported", ["output.txt", "below/one.yaml", "/elsewhere.yaml"])
def test_an_edit_that_was_reported_as_another_path_is_in_force_by_the_next_resync(
    jobs: Path, clock: GivenClock, monkeypatch: pytest.MonkeyPatch, reported: str
) -> None:
    def note(changed: ChangedPaths, *_: str) -> None:
        note_path(changed, str(jobs / reported))

    note_path = ChangedPaths.note
    monkeypatch.setattr(ChangedPaths, "note", note)
    with started(jobs, clock) as runner:
        seconds_until(lambda: clock.passed_s > 1.0, runner, clock, within_s=2.0)
        (jobs / "one.yaml").write_text(text_of("edited"))
        wait_for_turns(lambda: descriptions(runner) == {"one": "edited"}, runner, clock)


def test_an_unreported_edit_is_in_force_although_the_folder_never_stops_changing(
    jobs: Path, clock: GivenClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_path = ChangedPaths.note

    def note(changed: ChangedPaths, *paths: str) -> None:
        note_path(changed, *(path for path in paths if not path.endswith("one.yaml")))

    monkeypatch.setattr(ChangedPaths, "note", note)
    with started(jobs, clock) as runner:
        seconds_until(lambda: clock.passed_s > 1.0, runner, clock, within_s=2.0)
        (jobs / "one.yaml").write_text(text_of("edited"))

        def is_live() -> bool:
            (jobs / "output.txt").write_text(f"{clock.passed_s}")
            return descriptions(runner) == {"one": "edited"}

        wait_for_turns(is_live, runner, clock)


def descriptions(runner: Runner) -> dict[str, str]:
    return {name: request.description or "" for name, request in runner.registry.requests.items()}


def wait_for_turns(so: Callable[[], object], runner: Runner, clock: GivenClock) -> None:
    """Let the loop turn, with real waits for the watcher's threads, until a condition holds."""

    def is_so() -> bool:
        runner.turn()
        runner.wait(at_most_s=0.01)
        clock.passed_s += 0.01
        return bool(so())

    wait_until(is_so, within_s=LATEST_S, what="it is in force")


def description_of(runner: Runner, name: str) -> str | None:
    return runner.registry.requests[name].description


def test_an_edit_behind_a_link_is_in_force_within_a_second(
    jobs: Path, clock: GivenClock, reported: Notes
) -> None:
    for revision in ("1", "2"):
        (jobs.parent / "revisions" / revision).mkdir(parents=True)
        (jobs.parent / "revisions" / revision / "chained.yaml").write_text(text_of(revision))
    current = jobs.parent / "current"
    current.symlink_to("revisions/1")
    (jobs / "chained.yaml").symlink_to("../current/chained.yaml")
    (jobs.parent / "team").mkdir()
    declare(jobs.parent / "team", "linked")
    (jobs / "team").symlink_to("../team")
    with started(jobs, clock) as runner:
        reported.of(jobs.parent / "team" / "linked.yaml", runner, text_of("edited"))
        seconds_until(
            lambda: description_of(runner, "linked") == "edited", runner, clock, within_s=1.0
        )
        reported.of(jobs.parent / "revisions" / "1" / "chained.yaml", runner, text_of("edited"))
        seconds_until(
            lambda: description_of(runner, "chained") == "edited", runner, clock, within_s=1.0
        )
        current.with_name("next").symlink_to("revisions/2")
        current.with_name("next").rename(current)
        is_woken = select.poll()
        is_woken.register(runner._parts.wakeups.folder_changes, select.POLLIN)
        wait_until(lambda: is_woken.poll(10), what="the flip is notified")
        seconds_until(lambda: description_of(runner, "chained") == "2", runner, clock, within_s=1.0)
        reported.of(
            jobs.parent / "revisions" / "2" / "chained.yaml", runner, text_of("edited again")
        )
        seconds_until(
            lambda: description_of(runner, "chained") == "edited again", runner, clock, within_s=1.0
        )


def test_an_edit_of_a_dates_file_outside_the_folder_is_in_force_within_a_second(
    jobs: Path, clock: GivenClock, reported: Notes
) -> None:
    dates = jobs.parent / "holidays.txt"
    dates.write_text("2026-12-25\n")
    timing = "timing: {schedule: {frequency: daily, at: '02:00', except: ../holidays.txt}}\n"
    (jobs / "one.yaml").write_text(text_of("") + timing)
    with started(jobs, clock) as runner:
        first = runner.registry.requests["one"]
        reported.of(dates, runner, "2026-12-26\n")
        seconds_until(lambda: runner.registry.requests["one"] != first, runner, clock, within_s=1.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_an_edit_of_a_mounted_file_is_in_force_by_the_next_resync(
    jobs: Path, tmp_path: Path
) -> None:
    """Run in a mount namespace that ends with the test, and with the test's clock."""
    script = """
import subprocess, sys
from pathlib import Path
from test_delivery import GivenClock, description_of, seconds_until, started, text_of
jobs = Path(sys.argv[1])
source = jobs.parent / "source.yaml"
source.write_text(text_of("mounted"))
clock = GivenClock()
with started(jobs, clock) as runner:
    subprocess.run(["mount", "--bind", source, jobs / "one.yaml"], check=True)
    seconds_until(lambda: description_of(runner, "one") == "mounted", runner, clock, within_s=1.0)
    source.write_text(text_of("edited"))
    seconds_until(lambda: description_of(runner, "one") == "edited", runner, clock, within_s=1.0)
"""
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    command = ["unshare", "-m", "--propagation", "private", sys.executable, "-c", script, str(jobs)]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
