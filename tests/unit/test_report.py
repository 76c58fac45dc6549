"""What comes back from a process, whatever it wrote."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from runner.execution.report import Report, Told, open_report


@pytest.fixture
def report() -> Iterator[Report]:
    made = open_report(frozenset({"hunter2", "two\nlines"}))
    yield made
    made.close()


def test_nothing_told_is_nothing(report: Report) -> None:
    assert report.read() == Told()


def test_pieces_arrive_in_any_order_and_what_makes_no_sense_is_dropped(report: Report) -> None:
    os.write(report.descriptor, b"\0\0junk\0other:x\0stderr:\0result:returned 1\0result:unfinished")
    assert report.read() == Told(result="unfinished", has_stderr=True)
    assert report.read() == report.read()


def test_secrets_are_masked_also_where_they_are_written_as_python_does(report: Report) -> None:
    os.write(report.descriptor, b"failure:program 'hunter2' is\0result:returned 'two\\nlines', \xff\0")
    assert report.read() == Told(failure="program '***' is", result="returned '***', \ufffd")


def test_a_long_text_is_cut_between_characters(report: Report) -> None:
    os.write(report.descriptor, b"result:" + "ñ".encode() * 100_000)
    told = report.read().result
    assert told is not None
    assert told.endswith("ñ…")
    assert 1022 <= len(told.encode()) <= 1024
