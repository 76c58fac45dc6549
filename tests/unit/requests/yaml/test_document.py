"""Bytes to documents: the meaning of scalars, positions, and messages for what is refused."""

from __future__ import annotations

import json
import string

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.errors import Problem
from runner.requests.findings import Spot
from runner.requests.yaml import document
from runner.requests.yaml.document import MOST_DOCUMENTS, Document, documents_in
from runner.requests.yaml.tree import resolved
from runner.requests.yaml.unreadable import DEEPEST


def documents(text: str | bytes) -> tuple[Document, ...]:
    read = documents_in(text.encode() if isinstance(text, str) else text, "a.yaml")
    assert not isinstance(read, Problem), read
    return read


def only(text: str) -> Document:
    (document,) = documents(text)
    return document


def problem(text: str | bytes) -> Problem:
    read = documents_in(text.encode() if isinstance(text, str) else text, "a.yaml")
    assert isinstance(read, Problem)
    return read


def reported(text: str) -> list[str]:
    document = only(text)
    return [str(document.problem(finding, "a.yaml")) for finding in document.findings]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10:30", "10:30"),
        ("22:00", "22:00"),
        ("2026-12-24", "2026-12-24"),
        ("2026-12-24 18:00", "2026-12-24 18:00"),
        ("2026-02-30", "2026-02-30"),
        ("NO", "NO"),
        ("on", "on"),
        ("yes", "yes"),
        ("0700", "0700"),
        ("0o700", "0o700"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("+5", "+5"),
        ("-0", "-0"),
        ("1.10", "1.10"),
        ("1e3", "1e3"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1" * 19, "1" * 19),
        ("1" * 5000, "1" * 5000),
        ("0", 0),
        ("-12", -12),
        ("8080", 8080),
        ("1.5", 1.5),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
    ],
)
def test_a_plain_scalar_means_what_it_looks_like(text: str, value: object) -> None:
    data = only(f"key: {text}").data
    assert data == {"key": value}
    assert isinstance(data, dict)
    assert type(data["key"]) is type(value)


@settings(max_examples=100)
@given(st.text(alphabet="0123456789+-.eE_:xo", min_size=1, max_size=25))
def test_a_number_prints_as_its_text(text: str) -> None:
    assert str(resolved(text)) == text


@pytest.mark.parametrize("quoted", ['"5"', "'true'", '"null"', '""', "|\n  5"])
def test_a_quoted_scalar_is_text(quoted: str) -> None:
    data = only(f"key: {quoted}").data
    assert isinstance(data, dict)
    assert isinstance(data["key"], str)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(string.ascii_lowercase, max_size=5), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=100)
@given(json_values)
def test_json_keeps_its_meaning(value: object) -> None:
    assert only(json.dumps([value], ensure_ascii=False)).data == [value]


@settings(max_examples=100)
@given(json_values)
def test_output_of_the_library_is_read_back(value: object) -> None:
    assert only(yaml.safe_dump([value], allow_unicode=True)).data == [value]


def test_each_of_several_documents_has_its_own_line_and_text() -> None:
    text = "# one\na: 1\n---\n# two\n\nb: 2\n---\n---\nc: 3\n"
    read = documents(text)
    assert [document.data for document in read] == [{"a": 1}, {"b": 2}, {"c": 3}]
    assert [document.line for document in read] == [2, 6, 9]
    assert read[0].text == "# one\na: 1\n"
    assert read[1].text == "---\n# two\n\nb: 2\n"
    assert [document.spot(("c",)) for document in read[2:]] == [Spot(line=9, column=4)]


@pytest.mark.parametrize(
    "text", ["", "\n", "# nothing\n", "---\n", "---\n---\n# x\n", "\ufeff", "---\n...\n"]
)
def test_an_empty_file_and_an_empty_document_hold_nothing(text: str) -> None:
    assert documents(text) == ()


def test_a_null_document_counts_as_a_document() -> None:
    assert only("~").data is None


def test_spots_point_at_values_at_keys_and_at_the_nearest_existing_parent() -> None:
    document = only("name: x\ntiming:\n  schedule: {at: ['02:00', é]}\n")
    assert document.spot(()) == Spot(line=1, column=1)
    assert document.spot(("timing", "schedule", "at", 1)) == Spot(line=3, column=28)
    assert document.spot(("timing", "schedule"), at_key=True) == Spot(line=3, column=3)
    assert document.spot(("timing", "schedule", "days", 3)) == Spot(line=3, column=13)


def test_a_byte_order_mark_takes_no_column() -> None:
    assert documents(b"\xef\xbb\xbfname: x")[0].spot(("name",)) == Spot(line=1, column=7)


def test_a_duplicate_key_is_reported_with_both_positions_and_the_first_wins() -> None:
    assert reported("name: a\nowner: b\nname: c\n") == [
        "a.yaml:3:1: `name` appears twice; the first is at line 1 (keep one)"
    ]
    assert only("a: {b: 1}\na: {b: 2, c: 3}\nd: 4\n").data == {"a": {"b": 1}, "d": 4}
    assert only("a: {b: 1}\na: {b: 2}\n").spot(("a", "b")) == Spot(line=1, column=8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x 1", "a.yaml:1:4: `&x` is an anchor; anchors are not supported"),
        ("a: 1\nb: *x", "a.yaml:2:4: `*x` is an alias; aliases are not supported"),
        ("&a [1]", "a.yaml:1:1: `&a` is an anchor"),
        ("<<: {a: 1}", "a.yaml:1:1: merge keys (`<<`) are not supported"),
        ("a: !!str 5", "a.yaml:1:4: `!!str` is a tag; tags are not supported"),
        ("a: !!python/object:os.system {}", "a.yaml:1:4: `!!python/object:os.system` is a tag"),
        ("a: ! b", "a.yaml:1:4: `!` is a tag"),
        ("1: a", 'a.yaml:1:1: a key must be text, not 1 (quote it: "1")'),
        ("true: a", 'a.yaml:1:1: a key must be text, not true (quote it: "true")'),
        ("~: a", "a.yaml:1:1: a key must be text, not nothing"),
        ("[a]: b", "a.yaml:1:1: a key must be text, not a list"),
        ("? {a: b}\n: c", "a.yaml:1:3: a key must be text, not a mapping"),
        ("{{ x }}: b", "a.yaml:1:1: a key must be text, not a mapping"),
        ("*x : b", "a.yaml:1:1: `*x` is an alias"),
        ('a: "b\\0"', "a.yaml:1:4: this text contains a NUL character"),
        ('"a\\0": b', "a.yaml:1:1: this text contains a NUL character"),
    ],
)
def test_unsupported_yaml_is_refused_at_its_line(text: str, message: str) -> None:
    assert reported(text)[0].startswith(message)


def test_refused_yaml_leaves_its_neighbours_and_other_documents_intact() -> None:
    first, second = documents("a: *x\n[k]: {deep: [1]}\nb: 2\n---\nc: 3\n")
    assert isinstance(first.data, dict)
    assert first.data["b"] == 2
    assert len(first.findings) == 2
    assert (second.data, second.findings) == ({"c": 3}, ())


def test_an_alias_bomb_and_a_recursive_alias_stay_small() -> None:
    pairs = zip("abcdefgh", "bcdefghi", strict=True)
    bomb = "\n".join(f"{name}: &{name} [{', '.join([f'*{last}'] * 9)}]" for last, name in pairs)
    assert len(reported(bomb)) > 1
    assert only("&a [*a]").findings


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x: */5 * * * *", 'a.yaml:1:4: `*` begins an alias in YAML (quote it: "*/5 * * * *")'),
        (
            "x: @daily",
            'a.yaml:1:4: `@` is reserved in YAML and cannot begin a text (quote it: "@daily")',
        ),
        ("x: %d", 'a.yaml:1:4: `%` begins a directive in YAML, not a text (quote it: "%d")'),
        (
            "x: `date`",
            "a.yaml:1:4: a backtick is reserved in YAML and cannot begin a text (quote it: "
            '"`date`")',
        ),
        ("x: [@a, b]", "a.yaml:1:5: `@` is reserved in YAML and cannot begin a text (quote it)"),
        (
            "x: a: b",
            'a.yaml:1:5: a second `:` on one line cannot begin a mapping (quote it: "a: b")',
        ),
        ("a:\n\tb: 1", "a.yaml:2:1: a tab cannot indent (indent with spaces)"),
        (
            "a: 1\nb: [1\n\nc: 2\n",
            "the bracket opened at line 2 is not closed, or a comma is missing",
        ),
        (
            "a: 1\nb: [1,\n\n",
            "a.yaml:2:7: this is not valid YAML: did not find expected node content",
        ),
        ("a: 1\nb: [1,\n\n", "(a bracket that was opened is not closed)"),
        ("a: 1\nbc", "a.yaml:2:3: a `:` is missing after `bc` (write `bc:`)"),
        ("a: 'x\n", "the quote opened at line 1 is not closed"),
        ("a: 1\nb\nc: 2\n", "a `:` is missing"),
        ("a: \x07", "a.yaml:1:4: the control character 0x07 is not allowed"),
        ("a: 1\nb: é\0", "a.yaml:2:5: the control character 0x00 is not allowed"),
        (
            b"a: 1\nb: \xc3\xa9\xff",
            "a.yaml:2:5: the byte 0xff is not UTF-8 (save the file as UTF-8)",
        ),
        (b"\xef\xbb\xbfa: 1\n\xff", "a.yaml:2:1: the byte 0xff is not UTF-8"),
        ("a: 1".encode("utf-16"), "a.yaml:1:1: the byte 0xff is not UTF-8"),
        ('a: "\\ud800"', "this is not valid YAML: found invalid Unicode character escape code"),
    ],
)
def test_an_unreadable_file_is_reported_with_its_fix(text: str | bytes, message: str) -> None:
    assert message in str(problem(text))


def test_a_comment_in_a_line_is_a_comment_and_quotes_keep_it() -> None:
    assert only("a: echo #hi").data == {"a": "echo"}
    assert only('a: "echo #hi"').data == {"a": "echo #hi"}


def test_depth_is_limited() -> None:
    assert only("[" * DEEPEST + "]" * DEEPEST)
    deeper = problem("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1))
    assert (deeper.column, deeper.message) == (
        DEEPEST + 1,
        f"this is nested deeper than {DEEPEST} levels",
    )
    # Newer versions of the library refuse a depth of 1,000 themselves, without a position.
    far_deeper = problem("a: " + "[" * 5000)
    # One column less with PyYAML 6.0.1, where the mapping counts as a level.
    assert far_deeper.column in (3 + DEEPEST, 4 + DEEPEST)
    assert far_deeper.message == deeper.message


def test_the_number_of_documents_is_limited() -> None:
    assert "more than" in problem("a: 1\n---\n" * (MOST_DOCUMENTS + 1)).message


NODES = st.recursive(
    st.sampled_from(
        [
            "a",
            "1",
            "1.5",
            "true",
            "",
            "~",
            "'x'",
            '"<<"',
            "<<",
            "*a",
            "&a b",
            "!t c",
            '"\\0"',
            "0700",
        ]
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(
            st.tuples(st.sampled_from(["a", "b", "name", "1", "<<", "'<<'", "[x]", "*b"]), inner),
            max_size=4,
        ).map(lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}")
    ),
    max_leaves=12,
)


@given(
    text=st.lists(NODES, min_size=1, max_size=3).map(
        lambda nodes: "--- " + "\n--- ".join(nodes) + "\n"
    )
)
def test_the_fast_path_equals_the_builder(text: str) -> None:
    def reported() -> object:
        read = documents_in(text.encode(), "a.yaml")
        if isinstance(read, Problem):
            return read
        paths: list[tuple[str | int, ...]] = [
            (),
            ("a",),
            ("name",),
            ("a", "b"),
            (0,),
            ("a", 1),
            ("b", 0, "a"),
        ]
        spots = [
            [each.spot(path, at_key=at) for path in paths for at in (False, True)] for each in read
        ]
        return [(each.data, each.line, each.text, each.findings) for each in read], spots

    at_once = reported()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document._Reader, "_plain", lambda self, events: None)
        assert reported() == at_once
