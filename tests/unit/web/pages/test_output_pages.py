from __future__ import annotations

from pathlib import Path

import pytest

from runner.web.pages.ansi import ansi_html
from runner.web.pages.output_pages import PAGE_BYTES, OutputPage, output_page


def pages_of(path: Path) -> list[OutputPage]:
    with path.open("rb") as file:
        first = output_page(file, 1)
        return [first, *(output_page(file, number) for number in range(2, first.count + 1))]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"one line\n",
        b"".join(b"line %d \xc3\xa9\n" % number for number in range(40_000)),
        "é".encode() * PAGE_BYTES,
        "x€".encode() * PAGE_BYTES,
        b"\xff" * (PAGE_BYTES + 17),
        b"\n" * (2 * PAGE_BYTES),
    ],
    ids=["empty", "short", "lines", "two bytes", "three bytes", "not utf-8", "blank"],
)
def test_the_pages_together_are_the_whole_output(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "output"
    path.write_bytes(content)
    pages = pages_of(path)
    assert "".join(page.text for page in pages) == content.decode("utf-8", "replace")
    assert [page.number for page in pages] == list(range(1, pages[0].count + 1))
    assert pages[0].total_bytes == len(content)


@pytest.mark.parametrize(
    ("before", "colours"),
    [
        (b"\x1b[1;31mfailed:\n", "bold f1"),
        (b"\x1b[32mok\n\x1b[0m\x1b[4mnote\n", "underline"),
        (b"\x1b[32mok\n\x1b[0;34mnote\n", "f4"),
        (b"\x1b[31mfailed\x1b[m\n", ""),
        (b"\x1b[31mfailed\n" + b"x" * 99 + b"\n" * PAGE_BYTES, "f1"),
    ],
    ids=["set", "set again", "set with a reset", "ended", "pages ago"],
)
def test_a_colour_goes_on_from_page_to_page(tmp_path: Path, before: bytes, colours: str) -> None:
    path = tmp_path / "output"
    path.write_bytes(before + b"y" * (PAGE_BYTES - 2) + b"\nlast")
    last = pages_of(path)[-1]
    shown = ansi_html(last.styles + last.text)
    assert shown == (f'<span class="{colours}">{last.text}</span>' if colours else last.text)


def test_a_page_of_lines_ends_with_a_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_text("".join(f"line {number}\n" for number in range(60_000)))
    pages = pages_of(path)
    assert len(pages) > 3
    assert all(page.text.endswith("\n") and page.text.startswith("line ") for page in pages)


def test_without_a_number_or_with_one_too_high_the_last_page_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "output"
    path.write_bytes(b"a" * PAGE_BYTES + b"end")
    with path.open("rb") as file:
        assert output_page(file, None).text == "end"
        assert output_page(file, 99).text == "end"
        assert output_page(file, 0).number == output_page(file, None).number == 2
