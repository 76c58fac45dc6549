from __future__ import annotations

import re
from html import unescape

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.web.pages.ansi import ansi_html

ALLOWED_TAG = re.compile(r'<span class="[a-z0-9 ]+">|</span>')


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "plain"),
        ("\x1b[32mok\x1b[m done", '<span class="f2">ok</span> done'),
        ("\x1b[1m\x1b[91mx\x1b[22my", '<span class="bold f9">x</span><span class="f9">y</span>'),
        ("\x1b[38;5;196mx", '<span class="f9">x</span>'),
        ("\x1b[48;2;0;0;120mx\x1b[49my", '<span class="b4">x</span>y'),
        ("\x1b[38;5mx", "x"),
        ("a\x1b[2J\x1b[3;4Hb", "ab"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;title\x07x", "x"),
        ("10 %\r20 %\r\ndone", "10 %\n20 %\ndone"),
        ("end\x1b", "end"),
        ("\x07bell \u202eevil", "\\x07bell \\u202eevil"),
    ],
)
def test_colours_are_kept_and_every_other_control_is_dropped_or_escaped(
    text: str, html: str
) -> None:
    assert str(ansi_html(text)) == html


@given(st.text(alphabet="\x1b[]m;0123456789<>&\"'ab\n\r\x07\\P", max_size=60))
def test_no_output_contains_markup_of_its_own(text: str) -> None:
    html = str(ansi_html(text))
    rest = ALLOWED_TAG.sub("", html)
    assert "<" not in rest and ">" not in rest and '"' not in rest
    assert "\x1b" not in html


@given(st.text(alphabet="abc <&\n\t", max_size=60))
def test_text_without_controls_is_shown_as_it_is(text: str) -> None:
    assert unescape(str(ansi_html(text))) == text


def test_a_long_output_full_of_colours_is_one_linear_pass() -> None:
    text = "\x1b[31mx\x1b[0m" * 20_000 + "\x1b[" + "1;" * 50_000 + "\x1b]" * 50_000
    assert str(ansi_html(text)).count("<span") == 20_000
