"""The monitor log with real files: whole lines, each once, across failed writes,
renames and foreign lines.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.full_disk import full_at

from runner.errors import LogUnwritableError
from runner.monitor.log import MonitorLog

# Only a hang reaches this limit, not a disk that syncs slowly.
pytestmark = pytest.mark.timeout(600)

BATCH = b'{"id":"1","message":"\xc3\xa9t\xc3\xa9"}\n{"id":"2"}\n{"id":"3","a":[]}\n'
LINES = BATCH.splitlines(keepends=True)
OLD = b'{"id":"0"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "monitor.jsonl"


@contextmanager
def opened(path: Path) -> Iterator[MonitorLog]:
    log = MonitorLog(path)
    try:
        yield log
    finally:
        log.close()


def recovered(path: Path, inode: int, offset: int, batch: bytes = BATCH) -> None:
    """Recover twice as a new runner does, as if it had crashed before its next commit."""
    for _ in range(2):
        with opened(path) as log:
            place = log.recover(inode, offset, batch)
            assert place == (path.stat().st_ino, path.stat().st_size)


def test_a_batch_is_one_write_and_its_place_is_where_the_file_ends(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[bytes] = []
    real = os.write

    def noted(descriptor: int, data: bytes) -> int:
        writes.append(data)
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", noted)
    with opened(path) as log:
        assert log.place() == (path.stat().st_ino, 0)
        assert log.append(BATCH) == (path.stat().st_ino, len(BATCH))
        assert log.append(OLD) == log.place() == (path.stat().st_ino, len(BATCH + OLD))
        assert log.append(b"") == log.place()
    assert writes == [BATCH, OLD]
    assert path.read_bytes() == BATCH + OLD


def test_data_and_the_name_of_a_new_file_are_synced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    real = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr("runner.monitor.log._sync", os.fsync)
    with opened(path) as log:
        log.place()
        assert synced == [path.parent.stat().st_ino]
        log.append(BATCH)
        assert synced[1:] == [path.stat().st_ino]


def test_half_a_batch_is_refused_as_a_bug(path: Path) -> None:
    with opened(path) as log, pytest.raises(ValueError, match="whole lines"):
        log.append(b'{"id":')


def test_a_short_write_is_continued_at_the_byte_where_it_stopped(path: Path) -> None:
    for cut in range(len(OLD + BATCH)):
        path.unlink(missing_ok=True)
        with opened(path) as log:
            log.append(OLD) if cut >= len(OLD) else log.place()
            before = log.place()
            with full_at(cut):
                for _ in range(2):
                    with pytest.raises(LogUnwritableError, match=r"monitor\.jsonl"):
                        log.append(BATCH)
                    assert log.place() == before, (
                        "the mark stays before a batch that is not wholly in"
                    )
            assert path.read_bytes() == (OLD[: before[1]] + BATCH)[:cut]
            assert log.append(BATCH + OLD)[1] == before[1] + len(BATCH + OLD)
        assert path.read_bytes() == OLD[: before[1]] + BATCH + OLD


def test_the_error_says_how_much_was_written_and_the_likely_cause(path: Path) -> None:
    with (
        opened(path) as log,
        full_at(5),
        pytest.raises(LogUnwritableError, match=r"accepted only 5 of \d+ bytes .*disk full"),
    ):
        log.append(BATCH)


def test_after_a_crash_at_any_byte_the_log_has_the_batch_exactly_once(path: Path) -> None:
    for cut in range(len(BATCH) + 1):
        path.write_bytes(OLD + BATCH[:cut])
        recovered(path, path.stat().st_ino, len(OLD))
        assert path.read_bytes() == OLD + BATCH, cut


def test_a_line_torn_in_a_renamed_file_is_completed_there(
    path: Path,
) -> None:
    rotated = path.with_name("monitor.jsonl.1")
    for cut in range(len(BATCH) + 1):
        rotated.write_bytes(OLD + BATCH[:cut])
        path.unlink(missing_ok=True)
        recovered(path, rotated.stat().st_ino, len(OLD))
        whole = next(size for size in (0, *accumulated(LINES)) if size >= cut)
        assert rotated.read_bytes() == OLD + BATCH[:whole], cut
        assert path.read_bytes() == BATCH[whole:], cut


def accumulated(lines: list[bytes]) -> list[int]:
    return [sum(map(len, lines[: count + 1])) for count in range(len(lines))]


def test_recovery_may_be_interrupted_at_any_byte_of_either_file(path: Path) -> None:
    rotated = path.with_name("monitor.jsonl.1")
    for second in range(len(OLD), len(OLD + BATCH)):
        rotated.write_bytes(OLD + BATCH[:5])
        path.unlink(missing_ok=True)
        with opened(path) as log:
            try:
                with full_at(second):
                    log.recover(rotated.stat().st_ino, len(OLD), BATCH)
            except LogUnwritableError:
                log.append(BATCH)
        recovered(path, rotated.stat().st_ino, len(OLD))
        assert rotated.read_bytes() + path.read_bytes() == OLD + BATCH, second


def test_lines_of_a_compressed_file_are_appended_again_but_only_once(path: Path) -> None:
    path.write_bytes(OLD + BATCH[:30])
    inode = path.stat().st_ino
    Path(f"{path}.1.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.rename(f"{path}.1")
    path.touch()  # while the old one is there, so that it cannot get its inode
    Path(f"{path}.1").unlink()
    recovered(path, inode, len(OLD))
    assert path.read_bytes() == BATCH


def test_a_new_file_with_the_inode_of_the_old_one_is_recognised(path: Path) -> None:
    path.write_bytes(b"short\n")
    recovered(path, path.stat().st_ino, 1_000_000)
    assert path.read_bytes() == b"short\n" + BATCH


def test_a_truncated_file_is_continued_at_its_present_end(path: Path) -> None:
    with opened(path) as log:
        log.append(BATCH)
        os.truncate(path, 0)
        assert log.place() == (path.stat().st_ino, 0)
        log.append(OLD)
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("foreign", [b"hello\n", b"hello", b'{"id":', b"\0\0\0", b"\n\n", b"a\nb"])
def test_foreign_text_stays_and_records_begin_on_a_new_line(path: Path, foreign: bytes) -> None:
    with opened(path) as log:
        log.append(OLD)
        with path.open("ab") as other:
            other.write(foreign)
        inode, offset = log.place()
        assert offset == len(OLD + foreign)
        log.append(BATCH)
    newline = b"" if foreign.endswith(b"\n") else b"\n"
    assert path.read_bytes() == OLD + foreign + newline + BATCH
    for cut in range(len(newline + BATCH) + 1):
        path.write_bytes(OLD + foreign + (newline + BATCH)[:cut])
        recovered(path, inode, offset)
        assert path.read_bytes() == OLD + foreign + newline + BATCH, cut


def test_foreign_text_after_the_mark_does_not_hide_records(path: Path) -> None:
    path.write_bytes(OLD + b"one\n" + LINES[0] + b"two\n" + LINES[1] + b"three")
    recovered(path, path.stat().st_ino, len(OLD))
    assert (
        path.read_bytes() == OLD + b"one\n" + LINES[0] + b"two\n" + LINES[1] + b"three\n" + LINES[2]
    )


def test_a_torn_line_followed_by_foreign_text_is_written_again(path: Path) -> None:
    with opened(path) as log:
        with full_at(7), pytest.raises(LogUnwritableError):
            log.append(BATCH)
        with path.open("ab") as other:
            other.write(b"hello")
        log.append(BATCH)
    assert path.read_bytes() == BATCH[:7] + b"hello\n" + BATCH


@pytest.mark.parametrize("is_created", [True, False])
def test_a_renamed_log_is_noticed_before_the_next_batch(path: Path, is_created: bool) -> None:
    with opened(path) as log:
        log.append(OLD)
        path.rename(f"{path}.1")
        if is_created:
            path.touch()
        assert log.place() == (path.stat().st_ino, 0)
        log.append(BATCH)
    assert (Path(f"{path}.1").read_bytes(), path.read_bytes()) == (OLD, BATCH)


def test_a_batch_whose_file_is_renamed_after_the_mark_goes_to_the_renamed_file(
    path: Path,
) -> None:
    with opened(path) as log:
        inode, offset = log.place()
        path.rename(f"{path}.1")
        with pytest.raises(
            LogUnwritableError, match="renamed"
        ):  # it may have been compressed before the bytes arrived
            log.append(BATCH)
    recovered(path, inode, offset)
    assert (Path(f"{path}.1").read_bytes(), path.read_bytes()) == (BATCH, b"")


def test_a_batch_torn_in_a_file_moved_to_another_folder_is_completed_there(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "old").mkdir()
    moved = tmp_path / "old" / "monitor.jsonl"
    with opened(path) as log:
        with full_at(3), pytest.raises(LogUnwritableError):
            log.append(BATCH)
        path.rename(moved)
        log.append(BATCH)
    assert moved.read_bytes() + path.read_bytes() == BATCH


@pytest.mark.parametrize(
    "moved", ["old/monitor.jsonl", "old/2026/a.log", "archive-1.log", "../logs.old/monitor.jsonl"]
)
def test_recovery_finds_the_marked_file_in_another_folder_or_by_another_name(
    moved: str, tmp_path: Path
) -> None:
    path = tmp_path / "logs" / "monitor.jsonl"
    with opened(path) as log:
        place = log.append(OLD)
        log.append(BATCH[:-5] + b"\n")
    path.write_bytes((OLD + BATCH)[:-5])  # the kill tore the last line
    target = path.parent / moved
    target.parent.mkdir(parents=True, exist_ok=True)
    (target.parent / "store.sqlite3").write_bytes(b"not a log")
    path.rename(target)
    recovered(path, *place)
    assert (target.read_bytes(), path.read_bytes()) == (OLD + BATCH, b"")


@pytest.mark.parametrize("names", [("old/a.log", "old/b.log"), ("archive-1.log", "../logs.old/x")])
def test_recovery_finds_each_file_that_got_a_part_of_a_batch_while_the_log_was_renamed_twice(
    names: tuple[str, str], tmp_path: Path
) -> None:
    """The mark names the first of them, and the runner is killed before the next one."""
    path = tmp_path / "logs" / "monitor.jsonl"
    targets = [path.parent / name for name in names]
    with opened(path) as log:
        place = log.append(OLD)
        for target, batch in zip(targets, (LINES[0], LINES[0] + LINES[1]), strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            with renamed_while_written(path, target), pytest.raises(LogUnwritableError):
                log.append(batch)
    (path.parent / "other.log").write_bytes(LINES[2][:2])  # another program is writing
    recovered(path, *place)
    assert [each.read_bytes() for each in targets] == [OLD + LINES[0], LINES[1]]
    assert path.read_bytes() == LINES[2]
    assert (path.parent / "other.log").read_bytes() == LINES[2][:2]


@contextmanager
def renamed_while_written(path: Path, target: Path) -> Iterator[None]:
    """Rename the log as soon as a write to it is on the disk."""

    def sync(descriptor: int) -> None:
        os.fsync(descriptor)
        if path.exists() and path.stat().st_size:
            path.rename(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("runner.monitor.log._sync", sync)
        yield


def test_a_batch_written_to_a_deleted_file_is_written_to_the_new_one(
    path: Path,
) -> None:
    with opened(path) as log:
        log.place()
        path.unlink()
        with pytest.raises(LogUnwritableError, match="deleted"):
            log.append(BATCH)
        log.append(BATCH)
    assert path.read_bytes() == BATCH


def test_the_constructor_touches_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    log = MonitorLog(folder / "monitor.jsonl")
    assert not folder.exists(), "a mount that hangs would hold up the main thread"
    log.place()
    assert folder.is_dir()
    log.close()


def test_the_folder_is_created_once_and_a_lost_one_is_reported_until_it_returns(
    tmp_path: Path,
) -> None:
    path = tmp_path / "logs" / "monitor.jsonl"
    with opened(path) as log:
        log.append(OLD)
        path.parent.rename(tmp_path / "away")
        for _ in range(2):
            with pytest.raises(LogUnwritableError, match=r"folder .*logs does not exist"):
                log.place()
        (tmp_path / "away").rename(path.parent)
        log.place()
        log.append(BATCH)
    assert path.read_bytes() == OLD + BATCH


def test_a_folder_whose_parent_is_missing_is_not_created(tmp_path: Path) -> None:
    with (
        opened(tmp_path / "mount" / "logs" / "monitor.jsonl") as log,
        pytest.raises(LogUnwritableError),
    ):
        log.place()
    assert not (tmp_path / "mount").exists()


def test_a_path_that_is_no_regular_file_is_refused_without_waiting(path: Path) -> None:
    os.mkfifo(path)
    with opened(path) as log, pytest.raises(LogUnwritableError, match="not a regular file"):
        log.place()
    path.unlink()
    path.mkdir()
    with opened(path) as log, pytest.raises(LogUnwritableError, match="directory"):
        log.place()


def test_a_log_behind_a_symlink_is_recovered(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "log"
    target.write_bytes(OLD + BATCH[:9])
    path.symlink_to(target)
    recovered(path, target.stat().st_ino, len(OLD))
    assert target.read_bytes() == OLD + BATCH


def test_a_database_in_the_folder_is_never_touched(path: Path) -> None:
    stranger = path.with_name("store.sqlite3")  # its inode may be that of a log deleted long ago
    stranger.write_bytes(OLD + BATCH[:5])
    recovered(path, stranger.stat().st_ino, len(OLD))
    assert stranger.read_bytes() == OLD + BATCH[:5]
    assert path.read_bytes() == BATCH


WRITER = """
import json, sys
from pathlib import Path
from runner.monitor.log import MonitorLog
log, state = MonitorLog(Path(sys.argv[1])), Path(sys.argv[2])
number = 0
while True:
    batch = "".join(json.dumps({"id": number + k, "pad": "x" * 900}) + "\\n" for k in range(200))
    inode, offset = log.place()
    new = state.with_suffix(".new")
    new.write_text(json.dumps([inode, offset, batch]))
    new.replace(state)
    log.append(batch.encode())
    number += 200
    print(number, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_log_that_is_whole_after_recovery(
    path: Path, tmp_path: Path
) -> None:
    for rounds in range(1, 7):
        path.unlink(missing_ok=True)
        state = tmp_path / "state"
        command = [sys.executable, "-c", WRITER, str(path), str(state)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        ) as writer:
            assert writer.stdout is not None
            for _ in range(rounds):
                assert writer.stdout.readline()
            writer.send_signal(signal.SIGKILL)
        inode, offset, batch = json.loads(state.read_text())
        recovered(path, inode, offset, batch.encode())
        ids = [json.loads(line)["id"] for line in path.read_bytes().splitlines()]
        assert ids == list(range(len(ids)))
        assert ids[-1] + 1 >= rounds * 200


@dataclass
class Owner:
    """The service's use of the log, with a mark and an outbox that survive a crash."""

    path: Path
    mark: tuple[int, int] = (0, 0)
    outbox: list[bytes] = field(default_factory=list)
    made: int = 0
    rotations: int = 0
    log: MonitorLog = field(init=False)

    def __post_init__(self) -> None:
        self.log = MonitorLog(self.path)

    def turn(self, count: int, room: int | None = None, dies: bool = False) -> None:
        """Commit new records and append the outbox.

        With `room` the disk takes that many bytes; the owner may die before the second
        commit.
        """
        self.outbox += [
            b'{"id":%d,"m":"\xe2\x82\xac"}\n' % number
            for number in range(self.made, self.made + count)
        ]
        self.made += count
        with suppress(LogUnwritableError):
            self.mark = self.log.place()
            size = self.path.stat().st_size if self.path.exists() else 0
            with full_at(size + room) if room is not None else nullcontext():
                mark = self.log.append(b"".join(self.outbox))
            if not dies:
                self.mark, self.outbox = mark, []
        if dies:
            self.restart()

    def restart(self) -> None:
        self.log.close()
        self.log = MonitorLog(self.path)
        with suppress(LogUnwritableError):
            self.mark = self.log.recover(*self.mark, b"".join(self.outbox))
            self.outbox = []

    def rotate(self, creates: bool) -> None:
        if self.path.exists():
            self.rotations += 1
            self.path.rename(f"{self.path}.{self.rotations:03}")
            if creates:
                self.path.touch()

    def others(self, text: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(text)


steps = st.one_of(
    st.tuples(st.just("turn"), st.integers(0, 3), st.none() | st.integers(0, 60), st.booleans()),
    st.tuples(st.just("restart")),
    st.tuples(st.just("rotate"), st.booleans()),
    st.tuples(st.just("others"), st.sampled_from([b"hello\n", b"hello", b'{"id":', b"\n"])),
)


OURS = re.compile(rb'\{"id":(\d+),"m":"\xe2\x82\xac"\}')


def check_any_history(history: list[tuple[object, ...]]) -> None:
    folder = Path(tempfile.mkdtemp())
    owner = Owner(folder / "monitor.jsonl")
    try:
        for name, *arguments in history:
            getattr(owner, str(name))(*arguments)
        owner.turn(1)
        assert owner.outbox == []
        files = [*sorted(folder.glob("monitor.jsonl.*")), owner.path]
        lines = [line for file in files for line in file.read_bytes().split(b"\n")]
        ours = [int(match[1]) for line in lines if (match := OURS.fullmatch(line))]
        # If a foreign torn line begins like a record, a rotation and a crash may change
        # their order.
        is_ambiguous = ("others", b'{"id":') in history
        assert (sorted(ours) if is_ambiguous else ours) == list(range(owner.made)), (
            "every record once, whole, in order"
        )
    finally:
        owner.log.close()
        shutil.rmtree(folder)


@settings(max_examples=150)
@given(st.lists(steps, max_size=12))
def test_after_any_history_the_log_has_every_record_once_and_whole(
    history: list[tuple[object, ...]],
) -> None:
    check_any_history(history)


@pytest.mark.campaign
@pytest.mark.timeout(900)
@settings(max_examples=20_000)
@given(st.lists(steps, max_size=40))
def test_after_any_long_history_the_log_has_every_record_once_and_whole(
    history: list[tuple[object, ...]],
) -> None:
    check_any_history(history)
