"""Output files: their paths, their tails, and pruning."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.execution.output import Tail, output_path, prune, read_tail
from runner.values import new_id


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tail") / "output"


def _tail(path: Path, content: bytes, limit: int = 4096) -> Tail:
    path.write_bytes(content)
    return read_tail(path, limit=limit)


def test_ids_of_one_moment_spread_over_many_folders() -> None:
    folders = {output_path("outputs", new_id()).rpartition("/")[0] for _ in range(2000)}
    assert len(folders) > 200
    assert all(folder.count("/") == 2 for folder in folders)


def test_an_output_without_a_file_is_empty(tmp_path: Path) -> None:
    assert read_tail(tmp_path / "none") == Tail(text="", total_bytes=0, truncated=False)


def test_the_tail_of_a_short_output_is_the_whole_output(scratch: Path) -> None:
    assert _tail(scratch, b"one\ntwo") == Tail(text="one\ntwo", total_bytes=7, truncated=False)


def test_a_tail_begins_with_a_whole_line(scratch: Path) -> None:
    tail = _tail(scratch, b"".join(b"line %04d\n" % n for n in range(1000)))
    lines = tail.text.splitlines()
    assert lines == [f"line {n:04}" for n in range(1000 - len(lines), 1000)]
    assert 4096 - 10 < len(tail.text) <= 4096
    assert (tail.total_bytes, tail.truncated) == (10_000, True)


def test_a_line_that_fits_exactly_is_kept(scratch: Path) -> None:
    assert _tail(scratch, b"before\n" + b"x" * 15 + b"\n", limit=16).text == "x" * 15 + "\n"


def test_a_line_longer_than_the_limit_is_cut_between_characters(scratch: Path) -> None:
    tail = _tail(scratch, "é".encode() * 5000 + b"\n")
    assert tail.text == "é" * 2047 + "\n"


def test_bytes_that_are_not_utf8_are_replaced_and_the_tail_stays_within_its_limit(
    scratch: Path,
) -> None:
    tail = _tail(scratch, b"\xff" * 4096)
    assert tail.text == "\ufffd" * (4096 // 3)
    assert (tail.total_bytes, tail.truncated) == (4096, True)


_PIECES = st.sampled_from(
    [b"a", b"\n", b"\xff", b"\x80", b"\xc3", "é".encode(), "€".encode(), "𝄞".encode(), b"\0"]
)


@given(st.lists(_PIECES, max_size=60).map(b"".join), st.integers(min_value=8, max_value=40))
def test_a_tail_is_an_end_of_the_decoded_output(scratch: Path, content: bytes, limit: int) -> None:
    tail = _tail(scratch, content, limit)
    whole = content.decode("utf-8", "replace")
    assert whole.endswith(tail.text)
    assert len(tail.text.encode()) <= limit
    assert tail.total_bytes == len(content)
    assert tail.truncated == (len(whole.encode()) > limit)
    assert tail.truncated or tail.text == whole


@given(st.lists(_PIECES, min_size=30, max_size=60).map(b"".join))
def test_a_truncated_tail_begins_with_a_whole_line_if_it_contains_one(
    scratch: Path, content: bytes
) -> None:
    whole = content.decode("utf-8", "replace")
    tail = _tail(scratch, content, 16)
    if tail.truncated:
        before = whole[: len(whole) - len(tail.text)]
        assert before.endswith("\n") or "\n" not in tail.text[:-1]


def _outputs(folder: Path, count: int, *, size: int = 10) -> list[Path]:
    """Create outputs that were written at the epoch seconds 1, 2, 3, …"""
    paths = [Path(output_path(folder, new_id())) for _ in range(count)]
    for second, path in enumerate(paths, start=1):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        os.utime(path, (second, second))
    return paths


def _left(paths: list[Path]) -> list[int]:
    return [second for second, path in enumerate(paths, start=1) if path.exists()]


def test_pruning_removes_outputs_that_are_too_old(tmp_path: Path) -> None:
    paths = _outputs(tmp_path, 10)
    assert sum(prune(tmp_path, max_age_s=4, max_bytes=10**9, max_files=10**9, now_s=10)) == 5
    assert _left(paths) == [6, 7, 8, 9, 10]


def test_pruning_keeps_the_newest_outputs_within_count_and_size(tmp_path: Path) -> None:
    paths = _outputs(tmp_path, 10)
    assert sum(prune(tmp_path, max_age_s=10**9, max_bytes=10**9, max_files=7, now_s=10)) == 3
    assert _left(paths) == [4, 5, 6, 7, 8, 9, 10]
    assert sum(prune(tmp_path, max_age_s=10**9, max_bytes=49, max_files=7, now_s=10)) == 3
    assert _left(paths) == [7, 8, 9, 10]


def test_pruning_keeps_outputs_in_use_and_other_files(tmp_path: Path) -> None:
    paths = _outputs(tmp_path, 3)
    (paths[0].parent / "note.txt").write_text("mine")
    assert (
        sum(prune(tmp_path, max_age_s=0, max_bytes=0, max_files=0, now_s=10, keep={paths[1].stem}))
        == 2
    )
    assert _left(paths) == [2]
    assert (paths[0].parent / "note.txt").exists()


def test_pruning_works_in_slices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.execution.output._SLICE", 5)
    paths = _outputs(tmp_path, 20)
    slices = prune(tmp_path, max_age_s=1, max_bytes=10**9, max_files=10**9, now_s=100)
    first = next(slices)
    assert 1 <= first < 20
    assert len(_left(paths)) == 20 - first
    assert first + sum(slices) == 20


def test_pruning_a_missing_folder_removes_nothing(tmp_path: Path) -> None:
    assert sum(prune(tmp_path / "none", max_age_s=1, max_bytes=1, max_files=1, now_s=1)) == 0
