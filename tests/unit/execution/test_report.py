"""Reading a process's report, whatever the process wrote, and masking secrets in it."""

from __future__ import annotations

import base64
import json
import os
import re
import urllib.parse
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.execution.child.masking import Masker
from runner.execution.report import Report, ReportContent, forms_of, open_report


@pytest.fixture
def report() -> Iterator[Report]:
    made = open_report(frozenset({"hunter2", "two\nlines"}))
    yield made
    made.close()


def test_an_empty_report_has_no_content(report: Report) -> None:
    assert report.read() == ReportContent()


def test_pieces_are_read_in_any_order_and_malformed_ones_are_ignored(report: Report) -> None:
    os.write(report.descriptor, b"\0\0junk\0other:x\0stderr:\0result:returned 1\0result:unfinished")
    assert report.read() == ReportContent(result="unfinished", has_stderr=True)
    assert report.read() == report.read()


def test_secrets_are_masked_also_in_their_python_repr(report: Report) -> None:
    os.write(
        report.descriptor, b"failure:program 'hunter2' is\0result:returned 'two\\nlines', \xff\0"
    )
    assert report.read() == ReportContent(
        failure="program '***' is", result="returned '***', \ufffd"
    )


def test_a_long_text_is_cut_between_characters(report: Report) -> None:
    os.write(report.descriptor, b"result:" + "ñ".encode() * 100_000)
    reported = report.read().result
    assert reported is not None
    assert reported.endswith("ñ…")
    assert 1022 <= len(reported.encode()) <= 1024


def masked(text: bytes, *secrets: str) -> bytes:
    masker = Masker(forms_of(secrets))
    return masker.feed(text) + masker.flush()


@given(
    st.text(min_size=4).filter(lambda text: text.isprintable()),
    st.binary(max_size=5),
    st.binary(max_size=5),
)
def test_base64_shows_of_a_secret_at_most_the_bits_shared_with_its_neighbours(
    secret: str, before: bytes, behind: bytes
) -> None:
    whole = before + secret.encode() + behind
    for encoded in (
        base64.b64encode(whole),
        base64.urlsafe_b64encode(whole),
        base64.b64encode(whole).rstrip(b"="),
    ):
        shown = masked(b"token=" + encoded, secret).removeprefix(b"token=")
        begin, mask, end = shown.partition(b"***")
        assert mask
        assert len(begin) <= -(-len(before) * 8 // 6)
        assert len(end.rstrip(b"=")) <= -(-len(behind) * 8 // 6) + bool(behind)


@given(st.text(min_size=1, alphabet=st.characters(codec="utf-8")))
def test_a_secret_in_a_url_is_masked_in_every_quoting(secret: str) -> None:
    for quote in (
        urllib.parse.quote,
        urllib.parse.quote_plus,
        lambda text: urllib.parse.quote(text, safe=""),
    ):
        for quoted in (quote(secret), re.sub("%..", lambda found: found[0].lower(), quote(secret))):
            assert masked(quoted.encode(), secret) == b"***"


def test_each_line_of_a_secret_is_masked_except_short_lines() -> None:
    key = "-----BEGIN KEY-----\n  MIIEvQIBADANBg\nkqhkiG9w0BAQEF\nAoGBAK\n-----END KEY-----\n"
    text = "key: |\n    MIIEvQIBADANBg\r\n    kqhkiG9w0BAQEF\n    AoGBAK\n"
    assert masked(text.encode(), key) == b"key: |\n    ***\r\n    ***\n    AoGBAK\n"
    assert masked(json.dumps({"key": key}).encode(), key) == b'{"key": "***"}'


def test_a_long_secret_in_wrapped_base64_is_masked() -> None:
    secret = "".join(map(chr, range(33, 127))) * 2
    for wrapped in (base64.encodebytes(secret.encode()), base64.b64encode(secret.encode())):
        assert set(masked(wrapped, secret)) <= set(b"***\n")
