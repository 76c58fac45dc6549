"""Markdown as text for a terminal."""

from __future__ import annotations

from runner.cli.output.markdown_text import WIDEST, text_of

TABLE = """\
| key | means | default |
|---|---|---|
| `at` | When to run. | |
| `a|b` | Either. | `1` |
""".replace("a|b", "a\\|b")


def test_headings_lose_their_marks_and_the_upper_two_levels_are_underlined() -> None:
    assert text_of("# One\n\n## Two\n\n### Three\n", 80) == "One\n===\n\nTwo\n---\n\nThree\n"


def test_paragraphs_and_items_are_wrapped_to_the_width() -> None:
    text = "One two three\nfour five.\n\n- six seven eight\n  nine\n- ten\n\n1. one two three\n"
    assert text_of(text, 14).splitlines() == [
        "One two three",
        "four five.",
        "",
        "- six seven",
        "  eight nine",
        "- ten",
        "",
        "1. one two",
        "   three",
    ]


def test_no_line_of_prose_is_wider_than_the_widest() -> None:
    lines = text_of("word " * 100, 500).splitlines()
    assert max(map(len, lines)) <= WIDEST


def test_code_is_indented_and_never_wrapped() -> None:
    code = "runner explain backup --at 02:00   # a comment"
    assert (
        text_of(f"```sh\n{code}\n\n# no heading\n```\n", 20)
        == (f"    {code}\n\n    # no heading\n").strip("\n") + "\n"
    )


def test_links_bold_marks_comments_and_images_are_left_out() -> None:
    text = "<!-- generated: x -->\nSee **the** [log](a/b.md#c).\n<!-- /generated -->\n![x](y.svg)\n"
    assert text_of(text, 80) == "See the log.\n"
    assert text_of("`***` is no mark. **But** this is.\n", 80) == "`***` is no mark. But this is.\n"


def test_a_table_that_fits_stands_in_columns() -> None:
    assert text_of(TABLE, 80).splitlines() == [
        "key    means         default",
        "`at`   When to run.",
        "`a|b`  Either.       `1`",
    ]


def test_a_table_that_does_not_fit_becomes_entries() -> None:
    assert text_of(TABLE, 24).splitlines() == [
        "`at`",
        "    When to run.",
        "`a|b`",
        "    Either.",
        "    default: `1`",
    ]
