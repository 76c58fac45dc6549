"""Output files: their paths, their tails, and pruning."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.execution.output import Tail, output_path, read_tail
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
