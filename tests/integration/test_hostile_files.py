"""Hostile files in a jobs folder, and changes while it is read.

Each problem is reported at its place, in bounded time and memory, and its neighbours
never notice.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.requests.catalog.catalog import Catalog
from runner.requests.catalog.catalog_reader import CatalogReader, exhausted

GOOD = "process: {shell: x}\n"
MOST_CPU_S, MOST_MB = 60, 64  # an idle machine needs less than a second
NOBODY = 65534
MEMORY = Path("/dev/shm")
READING = f"""\
import json, os, resource, sys
from pathlib import Path
from runner.requests.catalog.catalog_reader import CatalogReader

def read(folder):
    return CatalogReader(Path(folder), default_zone="UTC").read()

def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss

read(sys.argv[1])  # all that is imported when it is first needed
resource.setrlimit(resource.RLIMIT_CPU, ({MOST_CPU_S}, {MOST_CPU_S}))
if os.geteuid() == 0:
    os.seteuid({NOBODY})
before = used()
catalog = read(sys.argv[2])
after = used()
print(json.dumps(dict(
    requests=sorted(catalog.requests),
    problems=[(each.file, each.line, each.column, each.message) for each in catalog.problems],
    cpu_s=after[0] - before[0],
    grown_mb=(after[1] - before[1]) / 1024,
)))
"""


def read(folder: Path) -> Catalog:
    return CatalogReader(folder, default_zone="UTC").read()


def read_bounded(folder: Path) -> dict[str, Any]:
    """Read a folder in a new process, as a user without all permissions, in bounded time."""
    warm = folder.parent / "warm"
    warm.mkdir()
    (warm / "good.yaml").write_text(GOOD)
    (warm / "bad.yaml").write_text(
        "process: {shel: x, timeout: 5}\nowner: 5\ntiming: {schedule: {frequency: cron}}\n"
    )
    (warm / "worse.yaml").write_bytes(b"description: '\xff[")
    done = subprocess.run(
        [sys.executable, "-c", READING, str(warm), str(folder)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def temporary() -> tempfile.TemporaryDirectory[str]:
    """Make a folder in memory where possible: ten thousand files are slow on a disk."""
    return tempfile.TemporaryDirectory(
        prefix="runner-hostile-", dir=MEMORY if MEMORY.is_dir() else None
    )


@pytest.fixture
def folder() -> Iterator[Path]:
    """A jobs folder that every user can reach."""
    with temporary() as home:
        Path(home).chmod(0o755)
        (Path(home) / "jobs.d").mkdir()
        yield Path(home) / "jobs.d"


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def make_device(path: Path) -> None:
    """Make a device like /dev/zero, which never ends; where that is not allowed, a link
    to it.
    """
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))
    except OSError:
        path.symlink_to("/dev/zero")


def make_sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def make_unreadable(path: Path) -> None:
    path.write_text(GOOD)
    path.chmod(0)


def make_locked(path: Path) -> None:
    path.mkdir()
    (path / "inside.yaml").write_text(GOOD)
    path.chmod(0)


def make_too_deep(path: Path) -> None:
    """Nest folders until the innermost is beyond the longest path."""
    here = os.open(path.parent, os.O_RDONLY)
    name = path.name
    for _ in range(25):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here, name = below, "d" * 200
    os.close(here)


def make_bytes(raw: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(raw)


def link_to(target: str) -> Callable[[Path], object]:
    return lambda path: path.symlink_to(target)


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe.yaml": (os.mkfifo, "it is a named pipe, not a file"),
    "socket.yaml": (bind, "it is a socket, not a file"),
    "device.yaml": (make_device, "it is a device, not a file"),
    "zero.yaml": (link_to("/dev/zero"), "it is a device, not a file"),
    "full.yaml": (link_to("/dev/full"), "it is a device, not a file"),
    "folder.yaml": (Path.mkdir, "it is a folder, not a file"),
    "above.yaml": (link_to(".."), "it is a folder, not a file"),
    "gigabyte.yaml": (make_sparse, "it is larger than 1 MiB"),
    "loop.yaml": (
        link_to("loop.yaml"),
        "it is a broken link: too many levels of symbolic links",
    ),
    "dangling.yaml": (link_to("../nowhere"), "it is a broken link: no such file or directory"),
    "unreadable.yaml": (make_unreadable, "it cannot be read: permission denied"),
    "locked": (make_locked, "the folder cannot be read: permission denied"),
    f"{'l' * 250}.yaml": (make_bytes(GOOD.encode()), "cannot be the request's"),
    "two\nlines.yaml": (
        make_bytes(GOOD.encode()),
        "its name is not UTF-8, or has control characters",
    ),
    os.fsdecode(b"\xff.yaml"): (
        make_bytes(GOOD.encode()),
        "its name is not UTF-8, or has control characters",
    ),
    "nul.yaml": (
        make_bytes(GOOD.encode() + b"\0" * 1000),
        "the control character 0x00 is not allowed",
    ),
    "latin.yaml": (
        make_bytes(b"description: caf\xe9\n" + GOOD.encode()),
        "the byte 0xe9 is not UTF-8",
    ),
    "wide.yaml": (make_bytes(GOOD.encode("utf-16")), "this looks like UTF-16"),
    "laughs.yaml": (
        make_bytes(b"a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]\n"),
        "anchors are not supported",
    ),
    "brackets.yaml": (make_bytes(b"[" * 1_000_000), "nested deeper than 32 levels"),
    "documents.yaml": (make_bytes(b"--- a\n" * 100_000), "the file has more than 2000 documents"),
    "nodes.yaml": (make_bytes(b"- a\n" * 200_000), "the file has too many values"),
    "line.yaml": (make_bytes(b"process: {shell: x}\nname: " + b"x" * 1_000_000), "name"),
    "twice.yaml": (make_bytes(GOOD.encode() * 2), "appears twice"),
}
FINE: dict[str, Callable[[Path], object]] = {
    "crlf.yaml": make_bytes(b"process:\r\n  shell: x\r\n"),
    "mark.yaml": make_bytes(b"\xef\xbb\xbf" + GOOD.encode()),
    "large.yaml": make_bytes(GOOD.encode() + b"#" * 1_000_000),
    "outside.yaml": link_to("../outside"),
    "a.yaml": make_bytes(GOOD.encode()),
    "z.yml": make_bytes(GOOD.encode()),
}


@pytest.mark.timeout(300)
def test_all_hostile_files_at_once_are_reported_in_bounded_time_and_memory(folder: Path) -> None:
    (folder.parent / "outside").write_text(GOOD)
    for name, (make, _) in BAD.items():
        make(folder / name)
    for name, make_fine in FINE.items():
        make_fine(folder / name)
    for number in range(10_000):
        os.close(os.open(folder / f"{number}.txt", os.O_CREAT | os.O_WRONLY))
    deep = folder / "/".join(["d"] * 100)
    deep.mkdir(parents=True)
    (deep / "deep.yaml").write_text(GOOD)
    make_too_deep(folder / "deeper")
    found = read_bounded(folder)
    (folder / "locked").chmod(0o755)
    shutil.rmtree(folder / "deeper")

    assert found["requests"] == sorted(["deep", *(name.partition(".")[0] for name in FINE)])
    reported: dict[str, str] = {}
    for file, line, column, message in found["problems"]:
        assert line >= 1
        assert column >= 1
        name = "deeper" if "deeper" in file else Path(file).name
        reported[name] = f"{reported.get(name, '')}{message}\n"
    shown = {
        name: name.replace("\n", "\\x0a").replace(os.fsdecode(b"\xff"), "\\xff") for name in BAD
    }
    for name, (_, message) in BAD.items():
        assert message in reported.pop(shown[name]), name
    assert reported == {"deeper": "the folder cannot be read: file name too long\n"}
    assert found["cpu_s"] < MOST_CPU_S
    assert found["grown_mb"] < MOST_MB


# --- what happens to a folder while it is read
# -----------------------------------------------------------------------

NAMES = ["a.yaml", "b.yaml", "c", "c/d.yaml", "c/e.yaml"]
TEXTS = [
    GOOD,
    GOOD + "description: another\n",
    "",
    "process: [",
    "name: a\n" + GOOD,
    "name: same\n" + GOOD,
    "\0",
]
TARGETS = ["a.yaml", "c", ".", "nowhere", "../good.yaml", "/dev/null"]
WORDS = {
    "a file in place of it": st.sampled_from(TEXTS),
    "renamed over it": st.sampled_from(TEXTS),
    "more behind it": st.sampled_from(TEXTS),
    "a link": st.sampled_from(TARGETS),
    "moved": st.sampled_from(NAMES),
    "removed": st.none(),
    "a folder": st.none(),
    "a pipe": st.none(),
}
steps = st.one_of(
    *(st.tuples(st.just(word), st.sampled_from(NAMES), what) for word, what in WORDS.items())
)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def do(folder: Path, word: str, name: str, what: str | None) -> None:
    """Do one thing to a folder; ignore what is impossible."""
    path = folder / name
    with suppress(OSError):
        match word:
            case "renamed over it":
                beside = folder / ".beside"
                beside.write_text(what or "")
                beside.replace(path)
            case "more behind it" if path.is_file() and not path.is_symlink():
                with path.open("a") as file:
                    file.write(what or "")
            case "moved":
                path.replace(folder / (what or ""))
            case "a file in place of it" | "a link" | "a folder" | "a pipe" | "removed":
                remove(path)
                made: dict[str, Callable[[], object]] = {
                    "a file in place of it": lambda: path.write_text(what or ""),
                    "a link": lambda: path.symlink_to(what or ""),
                    "a folder": path.mkdir,
                    "a pipe": lambda: os.mkfifo(path),
                }
                made.get(word, lambda: None)()


def reported(catalog: Catalog) -> tuple[object, ...]:
    """Return the content of a catalog, without how it was read."""
    requests = {
        name: (each.source, each.description) for name, each in sorted(catalog.requests.items())
    }
    return requests, catalog.problems, catalog.rejections, catalog.files, catalog.missing


def check_reading_while(done: list[tuple[str, str, str | None]]) -> None:
    """Change a folder between the slices of its readings.

    No reading fails or loses the good neighbour, and the last one equals that of a new
    reader.
    """
    with temporary() as home:
        folder = Path(home) / "jobs.d"
        (folder / "c").mkdir(parents=True)
        (folder / "good.yaml").write_text("name: good\n" + GOOD)
        (folder / "a.yaml").write_text(GOOD)
        reader = CatalogReader(folder, default_zone="UTC")
        left = iter(done)
        for step in left:
            do(folder, *step)
            slices = reader.scan({"good": "good.yaml"})
            with suppress(StopIteration):
                while True:
                    next(slices)
                    if another := next(left, None):
                        do(folder, *another)
            catalog = reader.read({"good": "good.yaml"})
            assert "good" in catalog.requests
        assert reported(reader.read()) == reported(read(folder))
        assert not exhausted(reader.look())


@settings(max_examples=40)
@given(st.lists(steps, max_size=20))
def test_changes_while_a_folder_is_read_keep_its_good_requests(
    done: list[tuple[str, str, str | None]],
) -> None:
    check_reading_while(done)


@pytest.mark.campaign
@pytest.mark.timeout(0)
@settings(max_examples=int(os.environ.get("RUNNER_EXAMPLES", "20000")), database=None)
@given(st.lists(steps, max_size=30))
def test_campaign_changes_while_a_folder_is_read_keep_its_good_requests(
    done: list[tuple[str, str, str | None]],
) -> None:
    check_reading_while(done)
