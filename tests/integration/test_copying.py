"""Copying an output to stdout when its file cannot be opened, or is not one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runner.cli.output.copying import file_copier


@contextmanager
def _as_another_user() -> Iterator[None]:
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    os.seteuid(12345)
    try:
        yield
    finally:
        os.seteuid(0)


def test_an_output_that_the_caller_may_not_read_is_reported_once(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir(mode=0o700)
    (outputs / "e1.out").write_text("secret")
    (outputs / "g1.1.out").write_text("secret")
    copier = file_copier(outputs / "e1.out")
    group = file_copier(outputs / "g1.out", is_group=True)
    with _as_another_user():
        for _ in range(3):
            copier.copy()
            group.copy()
    out, err = capfdbinary.readouterr()
    assert out == b""
    refused = (outputs / "e1.out", outputs)
    lines = [f"runner: the output {path} cannot be read: Permission denied" for path in refused]
    assert err.decode().splitlines() == lines


@pytest.mark.parametrize("kind", ["missing", "folder", "link", "fifo"])
def test_a_path_that_is_not_a_regular_file_is_not_copied(
    kind: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    path = tmp_path / "e1.out"
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "other").write_text("another file")
        path.symlink_to(tmp_path / "other")
    elif kind == "fifo":
        os.mkfifo(path)
    file_copier(path).copy()
    assert capfdbinary.readouterr() == (b"", b"")
