"""Real folders, changed in all the ways that people and tools use: each change is
noticed within a bound.
"""

from __future__ import annotations

import logging
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from loguru import logger
from support.place import wait_until
from watchdog.observers.api import BaseObserver, EventEmitter
from watchdog.observers.inotify_c import InotifyFD
from watchdog.utils import BaseThread

from runner.requests.catalog.catalog_reader import exhausted
from runner.watching.link_targets import targets_of
from runner.watching.watched_links import MOST_TARGETS
from runner.watching.watcher import Watcher

# pytest raises a warning that is ignored outside of tests; it would end a thread of
# watchdog.
pytestmark = pytest.mark.filterwarnings("ignore:Callback with id:RuntimeWarning")

BOUND_S = 30.0
QUIET_S = 0.25


class Wakes:
    """Count the calls of `wake`, and let a test wait for the next one."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.raises: Exception | None = None

    def __call__(self) -> None:
        self.event.set()
        if self.raises:
            raise self.raises

    def came(self) -> bool:
        """Wait for a call since `settle`."""
        return self.event.wait(BOUND_S)

    def stayed_away(self) -> bool:
        return not self.event.wait(QUIET_S)

    def settle(self) -> None:
        """Wait until all changes so far have been notified."""
        self.event.clear()
        until(self.is_quiet)

    def is_quiet(self) -> bool:
        quiet = not self.event.wait(QUIET_S)
        self.event.clear()
        return quiet


def until(condition: Callable[[], bool]) -> None:
    wait_until(condition, within_s=BOUND_S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "jobs.d"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.yaml").write_text("a: 1\n")
    (folder / "sub" / "b.yaml").write_text("b: 1\n")
    (folder / "..1").mkdir()
    (folder / "..2").mkdir()
    (folder / "..data").symlink_to("..1")
    (tmp_path / "outside.yaml").write_text("o: 1\n")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "c.yaml").write_text("c: 1\n")
    return folder


@pytest.fixture
def wakes() -> Wakes:
    return Wakes()


@pytest.fixture
def watcher(folder: Path, wakes: Wakes) -> Iterator[Watcher]:
    watcher = Watcher(folder, wakes)
    watcher.start()
    yield watcher
    watcher.stop()


def write(path: Path) -> None:
    path.write_text("changed: 1\n")


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write("more: 1\n")


def overwrite_in_place(path: Path) -> None:
    """Write like an editor that maps the file: size and name stay."""
    with path.open("r+") as file:
        file.write("A")


def write_beside_and_rename(path: Path) -> None:
    beside = path.with_name(f".{path.name}.swp")
    beside.write_text("changed: 1\n")
    beside.replace(path)


def flip(link: Path, target: str) -> None:
    """Rename a new link over the old one, as git-sync and the kubelet do."""
    beside = link.with_name(f"{link.name}_tmp")
    beside.symlink_to(target)
    beside.replace(link)


CHANGES: dict[str, Callable[[Path], object]] = {
    "a new file": lambda folder: write(folder / "new.yaml"),
    "an empty new file": lambda folder: (folder / "new.yaml").touch(),
    "a file written anew": lambda folder: write(folder / "a.yaml"),
    "a line appended": lambda folder: append(folder / "a.yaml"),
    "a byte overwritten": lambda folder: overwrite_in_place(folder / "a.yaml"),
    "a file replaced by rename": lambda folder: write_beside_and_rename(folder / "a.yaml"),
    "a file renamed": lambda folder: (folder / "a.yaml").rename(folder / "z.yaml"),
    "a file removed": lambda folder: (folder / "a.yaml").unlink(),
    "a file moved in": lambda folder: (folder.parent / "outside.yaml").rename(folder / "in.yaml"),
    "a file moved out": lambda folder: (folder / "a.yaml").rename(folder.parent / "out.yaml"),
    "a file made unreadable": lambda folder: (folder / "a.yaml").chmod(0),
    "a hard link": lambda folder: (folder / "hard.yaml").hardlink_to(
        folder.parent / "outside.yaml"
    ),
    "a symbolic link": lambda folder: (folder / "soft.yaml").symlink_to("../outside.yaml"),
    "a file written anew in a folder below": lambda folder: write(folder / "sub" / "b.yaml"),
    "a folder removed": lambda folder: shutil.rmtree(folder / "sub"),
    "a folder moved in": lambda folder: (folder.parent / "outside").rename(folder / "in"),
    "a folder made unreadable": lambda folder: (folder / "sub").chmod(0),
    "a ConfigMap's ..data flipped": lambda folder: flip(folder / "..data", "..2"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_it_wakes_for(
    change: Callable[[Path], object], folder: Path, watcher: Watcher, wakes: Wakes
) -> None:
    assert watcher.notified
    assert watcher.reason is None
    change(folder)
    assert wakes.came()
    assert not watcher.check()


def test_it_wakes_for_a_file_in_a_folder_made_later(
    folder: Path, watcher: Watcher, wakes: Wakes
) -> None:
    (folder / "new" / "deep").mkdir(parents=True)
    assert wakes.came()
    wakes.settle()
    write(folder / "new" / "deep" / "c.yaml")
    assert wakes.came()


def test_folders_made_inside_each_other_at_once_are_all_watched(
    folder: Path, watcher: Watcher, wakes: Wakes
) -> None:
    for number in range(20):
        (folder / f"{number}" / "deep" / "deeper").mkdir(parents=True)
    for number in (0, 7, 19):
        wakes.settle()
        write(folder / f"{number}" / "deep" / "deeper" / "c.yaml")
        assert wakes.came()
    assert not watcher.check()


def test_it_wakes_for_a_file_in_a_folder_moved_in(
    folder: Path, watcher: Watcher, wakes: Wakes
) -> None:
    (folder.parent / "outside").rename(folder / "in")
    assert wakes.came()
    wakes.settle()
    write(folder / "in" / "c.yaml")
    assert wakes.came()


def test_its_own_reading_does_not_wake(folder: Path, watcher: Watcher, wakes: Wakes) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.read_bytes()
    assert wakes.stayed_away()


def test_a_missing_folder_is_noticed_when_it_appears(tmp_path: Path, wakes: Wakes) -> None:
    watcher = Watcher(tmp_path / "later" / "jobs.d", wakes)
    watcher.start()
    assert (watcher.notified, watcher.check()) == (False, False)
    assert "No such file or directory" in str(watcher.reason)
    (tmp_path / "later" / "jobs.d").mkdir(parents=True)
    assert watcher.check()
    assert not watcher.check()
    assert watcher.notified
    write(tmp_path / "later" / "jobs.d" / "a.yaml")
    assert wakes.came()
    watcher.stop()


def replace_by_rename(folder: Path) -> None:
    shutil.copytree(folder, folder.with_name("next"))
    folder.rename(folder.with_name("former"))
    folder.with_name("next").rename(folder)


def remove_and_make_again(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def replace_its_parent(folder: Path) -> None:
    parent = folder.parent
    shutil.copytree(parent, parent.with_name("next"), symlinks=True)
    parent.rename(parent.with_name("former"))
    parent.with_name("next").rename(parent)


def replace_by_a_link(folder: Path) -> None:
    folder.rename(folder.with_name("former"))
    folder.symlink_to("outside")


REPLACEMENTS = [replace_by_rename, remove_and_make_again, replace_its_parent, replace_by_a_link]


@pytest.mark.parametrize("replace", REPLACEMENTS, ids=lambda replace: replace.__name__)
def test_another_folder_at_the_same_path_is_noticed_and_watched(
    replace: Callable[[Path], None], tmp_path: Path, wakes: Wakes
) -> None:
    folder = tmp_path / "parent" / "jobs.d"
    folder.mkdir(parents=True)
    (folder.parent / "outside").mkdir()
    watcher = Watcher(folder, wakes)
    watcher.start()
    replace(folder)
    until(watcher.check)
    wakes.settle()
    assert not watcher.check()
    write(folder / "new.yaml")
    assert wakes.came()
    watcher.stop()


def test_a_flipped_link_to_the_folder_is_noticed_and_the_new_tree_watched(
    tmp_path: Path, wakes: Wakes
) -> None:
    for revision in "12":
        (tmp_path / revision / "jobs.d").mkdir(parents=True)
    (tmp_path / "current").symlink_to("1")
    watcher = Watcher(tmp_path / "current" / "jobs.d", wakes)
    watcher.start()
    write(tmp_path / "1" / "jobs.d" / "a.yaml")
    assert wakes.came()
    wakes.settle()
    flip(tmp_path / "current", "2")
    assert watcher.check()
    write(tmp_path / "1" / "jobs.d" / "a.yaml")
    assert wakes.stayed_away()
    write(tmp_path / "2" / "jobs.d" / "a.yaml")
    assert wakes.came()
    watcher.stop()


def test_a_folder_that_disappears_is_noticed_once(folder: Path, watcher: Watcher) -> None:
    shutil.rmtree(folder)
    until(watcher.check)
    assert not watcher.check()
    assert not watcher.notified
    assert "No such file or directory" in str(watcher.reason)


@pytest.mark.parametrize(
    "part", [EventEmitter, BaseObserver, InotifyFD], ids=lambda part: part.__name__
)
def test_a_folder_whose_watch_has_ended_is_watched_again_even_with_the_same_inode(
    part: type[BaseThread], folder: Path, watcher: Watcher, wakes: Wakes
) -> None:
    """rm -rf and mkdir can give the same inode number; a defect of watchdog can end a
    watch too.
    """
    (thread,) = (thread for thread in threading.enumerate() if isinstance(thread, part))
    thread.stop()
    thread.join()
    assert watcher.check()
    assert not watcher.check()
    write(folder / "a.yaml")
    assert wakes.came()


def make_a_file(path: Path) -> None:
    path.write_text("")


def make_a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "words"), [(make_a_file, "Not a directory"), (make_a_link_to_itself, "symbolic links")]
)
def test_a_path_that_is_no_folder_gets_a_clear_reason(
    make: Callable[[Path], None], words: str, tmp_path: Path, wakes: Wakes
) -> None:
    make(tmp_path / "jobs.d")
    watcher = Watcher(tmp_path / "jobs.d", wakes)
    watcher.start()
    assert not watcher.notified
    assert words in str(watcher.reason)
    assert not watcher.check()
    watcher.stop()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_folder_is_a_reason_until_it_becomes_readable(
    folder: Path, wakes: Wakes
) -> None:
    folder.chmod(0)
    watcher = Watcher(folder, wakes)
    watcher.start()
    assert (watcher.notified, watcher.check()) == (False, False)
    assert "Permission denied" in str(watcher.reason)
    folder.chmod(0o755)
    assert watcher.check()
    assert watcher.notified
    watcher.stop()


def test_cycles_of_links_do_not_delay_the_watcher(folder: Path, wakes: Wakes) -> None:
    for number in range(10):
        (folder / f"circle{number}").symlink_to(".")
    watcher = Watcher(folder, wakes)
    watcher.start()
    write(folder / "sub" / "b.yaml")
    assert wakes.came()
    watcher.stop()


@pytest.fixture
def no_descriptor_left() -> Iterator[Callable[[], None]]:
    """Prevent all opening of files, until the returned function is called."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.open(os.devnull, os.O_RDONLY)
    os.close(lowest_free)

    def release() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, limits[1]))
    yield release
    release()


def test_a_watcher_without_inotify_says_so_and_recovers(
    folder: Path, wakes: Wakes, no_descriptor_left: Callable[[], None]
) -> None:
    watcher = Watcher(folder, wakes)
    watcher.start()
    said = (watcher.notified, str(watcher.reason), watcher.check())
    no_descriptor_left()
    assert not said[0]
    assert "raise fs.inotify.max_user_instances or ulimit -n" in said[1]
    assert not said[2]
    assert watcher.check(), "edits since the start may have been missed"
    assert watcher.notified
    write(folder / "a.yaml")
    assert wakes.came()
    watcher.stop()


def test_a_wake_that_raises_is_reported_and_later_changes_are_noticed(
    folder: Path, watcher: Watcher, wakes: Wakes
) -> None:
    reported: list[str] = []
    sink = logger.add(reported.append, format="{message}")
    wakes.raises = BlockingIOError("the pipe is full")
    write(folder / "a.yaml")
    assert wakes.came()
    until(lambda: any("the pipe is full" in text for text in reported))
    wakes.settle()
    wakes.raises = None
    write(folder / "a.yaml")
    assert wakes.came()
    assert not watcher.check()
    logger.remove(sink)


def descriptors() -> list[str]:
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile, as the one of this listing is
            found.append(str(path.readlink()))
    return found


def test_stopping_leaves_no_thread_and_no_descriptor_and_no_wake(
    folder: Path, wakes: Wakes
) -> None:
    threads, inotify = set(threading.enumerate()), descriptors().count("anon_inode:inotify")
    watcher = Watcher(folder, wakes)
    watcher.start()
    write(folder / "a.yaml")
    assert wakes.came()
    assert descriptors().count("anon_inode:inotify") == inotify + 1
    watcher.stop()
    assert set(threading.enumerate()) <= threads
    assert descriptors().count("anon_inode:inotify") == inotify
    wakes.event.clear()
    write(folder / "a.yaml")
    assert wakes.stayed_away()
    assert (watcher.notified, watcher.reason) == (False, "stopped")


def test_a_watcher_can_be_stopped_twice_or_before_its_start_and_started_again(
    folder: Path, wakes: Wakes
) -> None:
    watcher = Watcher(folder, wakes)
    watcher.stop()
    watcher.stop()
    watcher.start()
    write(folder / "a.yaml")
    assert wakes.came()
    watcher.stop()
    watcher.stop()


def test_processes_do_not_inherit_the_inotify_descriptor(watcher: Watcher) -> None:
    listing = subprocess.run(
        ["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True
    )
    assert "inotify" not in listing.stdout


@pytest.mark.campaign
def test_after_an_overflow_of_the_kernels_queue_changes_are_noticed(
    folder: Path, watcher: Watcher, wakes: Wakes
) -> None:
    for number in range(20_000):
        (folder / f"{number}.yaml").touch()
    until(wakes.is_quiet)
    write(folder / "a.yaml")
    assert wakes.came()


def test_a_warning_of_watchdog_leaves_the_whole_folder_in_doubt(
    watcher: Watcher, wakes: Wakes
) -> None:
    """watchdog warns when it has lost events, and reports nothing else."""
    watcher.changed.take(ends_doubt=True)
    logging.getLogger("watchdog.observers.inotify_c").warning("Inotify queue overflowed")
    assert wakes.came()
    assert watcher.changed.take() is None


def test_the_path_of_each_changed_file_is_noted(
    folder: Path, watcher: Watcher, wakes: Wakes
) -> None:
    wakes.settle()
    watcher.changed.take(ends_doubt=True)
    (folder / "a.yaml").rename(folder / "sub" / "z.yaml")
    write(folder / "sub" / "b.yaml")
    wakes.settle()
    assert watcher.changed.take() == frozenset(
        str(folder / name) for name in ("a.yaml", "sub/z.yaml", "sub/b.yaml")
    )
    (folder / "sub" / "deep").mkdir()
    wakes.settle()
    assert watcher.changed.take() is None


# --- targets of links
# ------------------------------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    """A jobs folder whose files all lie elsewhere: behind a link, a chain of links, a
    linked folder.
    """
    folder = tmp_path / "jobs.d"
    folder.mkdir()
    for revision in ("1", "2"):
        (tmp_path / "revisions" / revision).mkdir(parents=True)
        write(tmp_path / "revisions" / revision / "chained.yaml")
    (tmp_path / "current").symlink_to("revisions/1")
    (folder / "chained.yaml").symlink_to("../current/chained.yaml")
    (tmp_path / "plain").mkdir()
    write(tmp_path / "plain" / "direct.yaml")
    (folder / "direct.yaml").symlink_to("../plain/direct.yaml")
    (tmp_path / "team" / "deep").mkdir(parents=True)
    write(tmp_path / "team" / "deep" / "b.yaml")
    (folder / "team").symlink_to(tmp_path / "team")
    (folder / "later.yaml").symlink_to("../plain/later.yaml")
    return folder


@pytest.fixture
def following(linked: Path, wakes: Wakes) -> Iterator[Watcher]:
    watcher = Watcher(linked, wakes)
    watcher.start()
    assert exhausted(watcher.follow(links_in(linked)))
    assert not exhausted(watcher.follow(links_in(linked))), "they are watched already"
    yield watcher
    watcher.stop()


def links_in(folder: Path) -> list[str]:
    return [str(path) for path in folder.iterdir() if path.is_symlink()]


BEHIND_LINKS: dict[str, Callable[[Path], object]] = {
    "a file written anew": lambda base: write(base / "plain" / "direct.yaml"),
    "a line appended": lambda base: append(base / "plain" / "direct.yaml"),
    "a file replaced by rename": lambda base: write_beside_and_rename(
        base / "plain" / "direct.yaml"
    ),
    "a file removed": lambda base: (base / "plain" / "direct.yaml").unlink(),
    "a file made unreadable": lambda base: (base / "plain" / "direct.yaml").chmod(0),
    "what a link to nothing waits for": lambda base: write(base / "plain" / "later.yaml"),
    "a link on the way set anew": lambda base: flip(base / "current", "revisions/2"),
    "a file at the end of a chain": lambda base: append(base / "revisions" / "1" / "chained.yaml"),
    "a file deep in a linked folder": lambda base: append(base / "team" / "deep" / "b.yaml"),
    "a new file in a linked folder": lambda base: write(base / "team" / "new.yaml"),
    "a folder made in a linked folder": lambda base: (base / "team" / "new").mkdir(),
    "a link in a linked folder": lambda base: (base / "team" / "soft.yaml").symlink_to("/nowhere"),
}


@pytest.mark.parametrize("change", BEHIND_LINKS.values(), ids=BEHIND_LINKS.keys())
def test_it_wakes_for_changes_behind_links(
    change: Callable[[Path], object], tmp_path: Path, following: Watcher, wakes: Wakes
) -> None:
    wakes.settle()
    change(tmp_path)
    assert wakes.came()


def test_neighbours_of_a_linked_file_do_not_wake(
    tmp_path: Path, following: Watcher, wakes: Wakes
) -> None:
    wakes.settle()
    write(tmp_path / "plain" / "other.yaml")
    write(tmp_path / "team" / "deep" / "monitor.jsonl")
    write(tmp_path / "revisions" / "2" / "chained.yaml")
    assert wakes.stayed_away()


def test_the_target_of_a_removed_link_is_no_longer_watched(
    tmp_path: Path, linked: Path, following: Watcher, wakes: Wakes
) -> None:
    threads = threading.active_count()
    for link in links_in(linked):
        Path(link).unlink()
    assert not exhausted(following.follow(links_in(linked)))
    assert threading.active_count() < threads
    wakes.settle()
    append(tmp_path / "plain" / "direct.yaml")
    append(tmp_path / "team" / "deep" / "b.yaml")
    assert wakes.stayed_away()


def test_another_folder_at_the_path_of_a_target_is_noticed_and_watched(
    tmp_path: Path, linked: Path, following: Watcher, wakes: Wakes
) -> None:
    shutil.copytree(tmp_path / "plain", tmp_path / "next")
    (tmp_path / "plain").rename(tmp_path / "former")
    (tmp_path / "next").rename(tmp_path / "plain")
    assert following.check()
    assert exhausted(following.follow(links_in(linked)))
    assert not following.check()
    wakes.settle()
    append(tmp_path / "plain" / "direct.yaml")
    assert wakes.came()


def test_the_watches_behind_links_are_bounded(tmp_path: Path, wakes: Wakes) -> None:
    folder = tmp_path / "jobs.d"
    folder.mkdir()
    for number in range(3 * MOST_TARGETS):
        (tmp_path / f"{number}").mkdir()
        (folder / f"{number}.yaml").symlink_to(f"../{number}/a.yaml")
    (folder / "root").symlink_to("/")
    before = threading.active_count()
    watcher = Watcher(folder, wakes)
    watcher.start()
    assert exhausted(watcher.follow(links_in(folder)))
    assert threading.active_count() - before <= MOST_TARGETS + 4
    append(folder / "a.yaml")
    assert wakes.came()
    watcher.stop()
    assert threading.active_count() <= before


def test_links_that_multiply_do_not_delay_the_watcher() -> None:
    with tempfile.TemporaryDirectory() as name:
        for number in range(60):
            Path(name, f"{number}").symlink_to(f"{number + 1}/../{number + 1}/../{number + 1}")
        Path(name, "60").mkdir()
        Path(name, "self").symlink_to("self/self")
        found = exhausted(targets_of([f"{name}/0", f"{name}/self", f"{name}/58", "/"]))
    assert f"{os.path.realpath(name)}/60" in found.trees


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_bind_mount_of_a_file_and_each_edit_of_its_source_are_noticed(tmp_path: Path) -> None:
    """Run in a mount namespace that ends with the test."""
    script = """
import os, subprocess, sys, threading
from pathlib import Path
from runner.watching.watcher import Watcher
base = Path(sys.argv[1])
(base / "jobs.d").mkdir()
(base / "source.yaml").write_text("a: 1\\n")
(base / "jobs.d" / "a.yaml").touch()
came = threading.Event()
watcher = Watcher(base / "jobs.d", came.set)
watcher.start()
assert not watcher.check()
subprocess.run(["mount", "--bind", base / "source.yaml", base / "jobs.d" / "a.yaml"], check=True)
assert watcher.check(), "the mount is noticed"
assert not watcher.check()
with (base / "source.yaml").open("a") as file:
    file.write("b: 2\\n")
assert watcher.check(), "an edit of its source is noticed"
assert not watcher.check()
subprocess.run(["umount", base / "jobs.d" / "a.yaml"], check=True)
assert watcher.check()
watcher.stop()
"""
    command = [
        "unshare",
        "-m",
        "--propagation",
        "private",
        sys.executable,
        "-c",
        script,
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
