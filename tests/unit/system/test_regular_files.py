"""Reading a path never blocks and never exceeds the allowed memory, whatever is there."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from runner.system.regular_files import (
    NotRegularError,
    TooLargeError,
    is_file,
    is_folder,
    is_missing,
    is_there,
    open_regular,
    read_given,
    read_regular,
    real_path,
    require_visible,
)


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    assert read_regular(tmp_path / "a", at_most=100) == b"x" * 100


def test_a_file_of_proc_whose_size_is_unknown_is_read_whole() -> None:
    assert read_regular("/proc/self/status", at_most=1 << 20).startswith(b"Name:")


def test_a_larger_file_is_refused_without_being_read(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLargeError, match="larger than 64 KiB"):
        read_regular(tmp_path / "huge", at_most=64 << 10)


def test_a_file_of_unknown_size_is_refused_beyond_the_limit(tmp_path: Path) -> None:
    with pytest.raises(TooLargeError, match="larger than 100 bytes"):
        read_regular("/proc/self/status", at_most=100)


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "folder", "link to a pipe"])
def test_anything_but_a_regular_file_is_refused_without_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "it"
    with socket.socket(socket.AF_UNIX) as listener:
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "socket":
                listener.bind(str(path))
            case "device":
                path.symlink_to("/dev/zero")
            case "folder":
                path.mkdir()
            case _:
                os.mkfifo(tmp_path / "pipe")
                path.symlink_to("pipe")
        with pytest.raises(NotRegularError, match="not a file"):
            open_regular(path)


def test_a_refusal_leaves_no_descriptor_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"xx")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        with pytest.raises(TooLargeError):
            read_regular(tmp_path / "a", at_most=1)
        with pytest.raises(NotRegularError):
            read_regular(tmp_path, at_most=1)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EIO, errno.ESTALE, errno.ELOOP, errno.ENAMETOOLONG]
)
def test_a_failed_stat_raises_nothing_and_does_not_mean_that_a_path_is_missing(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> os.stat_result:
        raise OSError(number, os.strerror(number))

    for name in ("stat", "lstat", "readlink"):
        monkeypatch.setattr(os, name, fail)
    assert not is_there(tmp_path)
    assert not is_file(tmp_path)
    assert not is_folder(tmp_path)
    assert not is_missing(tmp_path)
    assert real_path(tmp_path) == str(tmp_path)


def test_a_pipe_named_by_a_person_is_read_to_its_end_even_from_a_slow_writer(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(
        ["sh", "-c", f"exec > {pipe}; echo a; read -r _; echo b"], stdin=subprocess.PIPE
    ) as writer:
        assert writer.stdin
        threading.Timer(0.1, writer.stdin.close).start()
        assert read_given(pipe, at_most=100) == b"a\nb\n"


def test_a_pipe_without_a_writer_is_refused_after_a_short_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotRegularError, match="named pipe"):
        read_given(tmp_path / "pipe", at_most=100)


def test_an_unreadable_folder_raises_and_a_missing_one_does_not(tmp_path: Path) -> None:
    require_visible(tmp_path)
    require_visible(tmp_path / "nothing")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        require_visible(tmp_path / "file")


def test_a_path_is_missing_only_if_it_certainly_leads_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert is_missing(tmp_path / "a")
    assert is_missing(tmp_path / "file" / "a")
    assert not is_missing(tmp_path / "file")


def test_a_relative_path_in_a_deleted_folder_stays_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert real_path("jobs.d") == "jobs.d"
