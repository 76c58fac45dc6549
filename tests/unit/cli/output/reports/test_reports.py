"""The output of `validate` in each format, checked by a reader of that format."""

from __future__ import annotations

import json
import re
import unicodedata
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.access.shown.excerpts import pointed
from runner.cli.output.problems import excerpt, problem_lines
from runner.cli.output.reports import FORMS, Checked, report
from runner.cli.output.tables import shown_line, style, unstyle
from runner.errors import Problem

JUNIT = Path(__file__).parents[4] / "schemas" / "junit-10.xsd"
TEXT = st.text(max_size=30)


def problem(
    *,
    file: str = "jobs.d/a.yaml",
    line: int = 3,
    column: int = 7,
    path: str = "timing.schedule.at[0]",
    message: str = "it is wrong",
    suggestion: str | None = None,
) -> Problem:
    return Problem(
        file=file, line=line, column=column, path=path, message=message, suggestion=suggestion
    )


def checked(*problems: Problem, good: tuple[str, ...] = ()) -> Checked:
    files = tuple(sorted({*good, *(each.file for each in problems)}))
    return Checked(problems=problems, files=files, requests=len(good))


def printed(form: str, *problems: Problem, good: tuple[str, ...] = ()) -> str:
    return "\n".join(report(form, checked(*problems, good=good)))


problems_made = st.builds(
    Problem,
    file=st.sampled_from(["jobs.d/a.yaml", "jobs.d/sub/ü 1%,:.yaml"]),
    line=st.integers(1, 10**6),
    column=st.integers(1, 10**6),
    path=st.sampled_from(
        ["", "timing.schedule.at[0]", "process.nonsense", "timing.run_later.start", "x\x1b.y"]
    ),
    message=TEXT,
    suggestion=st.none() | TEXT,
)


# --- a line with its caret


def cells(text: str) -> int:
    """Return a text's width in terminal cells: an independent implementation of UAX 11."""
    wide = sum(unicodedata.east_asian_width(character) in ("W", "F") for character in text)
    return (
        len(text)
        + wide
        - sum(unicodedata.category(character) in ("Mn", "Me") for character in text)
    )


@given(TEXT, st.characters(), TEXT, st.integers(20, 100))
def test_the_caret_stands_below_its_character_and_controls_are_escaped(
    before: str, character: str, behind: str, width: int
) -> None:
    line, blanks = pointed(f"{before}{character}{behind}x", len(before) + 1, width)
    assert line.isprintable()
    assert cells(line) <= width + 8  # a wide character, a tab or an escape is never split
    assert 0 <= blanks < width
    starts = [at for at in range(len(line)) if cells(line[:at]) == blanks]
    assert starts
    if character.isprintable() and cells(character) > 0 and not before:
        assert line[starts[-1]] == character


@pytest.mark.parametrize(
    ("line", "column", "shown"),
    [
        ("timeout: 30", 10, ("timeout: 30", 9)),
        ("\tshell: x", 1, ("        shell: x", 0)),
        ("\tshell: x", 2, ("        shell: x", 8)),
        ("ab\tx", 4, ("ab      x", 8)),
        ("日本: 30", 5, ("日本: 30", 6)),
        ("e\u0301: 30", 5, ("e\u0301: 30", 3)),
        ("a\x1b[31m: 30", 9, ("a\\x1b[31m: 30", 11)),
        ("a\u202eb: x", 4, ("a\\u202eb: x", 8)),
        ("short", 99, ("short", 5)),
    ],
)
def test_a_line_is_shown_as_an_editor_shows_it(
    line: str, column: int, shown: tuple[str, int]
) -> None:
    assert pointed(line, column, 80) == shown


def test_a_very_long_line_is_cut_around_the_problem() -> None:
    line, blanks = pointed("x" * 300_000 + "HERE" + "y" * 300_000, 300_001, 60)
    assert (len(line), line[0], line[-1]) == (60, "…", "…")
    assert line[blanks:].startswith("HEREy")


def test_a_problem_shows_the_line_that_the_parser_counted(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: \x1b2\r\rc: x\n")
    lines = problem_lines(problem(file=str(file), line=4, column=4, suggestion="do it right"))
    plain = [unstyle(line) for line in lines]
    assert plain == [f"{file}:4:4: it is wrong", " 4 | c: x", "   |    ^", "    do it right"]
    assert unstyle(excerpt(str(file), 2, 4)[0]) == " 2 | b: \\x1b2"


def test_an_empty_or_unreadable_file_has_no_excerpt(tmp_path: Path) -> None:
    empty = tmp_path / "a.yaml"
    empty.touch()
    assert [
        excerpt(file, 1, 1)
        for file in (str(empty), str(tmp_path), str(tmp_path / "none"), "/dev/zero")
    ] == [()] * 4


def test_control_characters_in_names_and_messages_are_escaped() -> None:
    (line,) = problem_lines(problem(file="a\x1b[2Jb", message="x\x07\u202ey"))
    assert shown_line(line, is_coloured=False) == "a\\x1b[2Jb:3:7: x\\x07\\u202ey"
    assert shown_line(line, is_coloured=True) == "\x1b[1ma\\x1b[2Jb:3:7:\x1b[0m x\\x07\\u202ey"


def test_a_foreign_colour_is_escaped_between_our_own() -> None:
    line = style("a\x1b[31mb", fg="green") + " \x1b[1mc\ufdd01m"
    assert shown_line(line, is_coloured=True) == "\x1b[32ma\\x1b[31mb\x1b[0m \\x1b[1mc\\ufdd01m"
    assert shown_line(line, is_coloured=False) == "a\\x1b[31mb \\x1b[1mc\\ufdd01m"


# --- the formats


def test_json_has_one_line_per_problem_with_the_documented_fields() -> None:
    lines = printed("json", problem(), problem(line=4, suggestion="so")).splitlines()
    assert [json.loads(line)["line"] for line in lines] == [3, 4]
    fields = ["file", "line", "column", "path", "message", "suggestion", "severity"]
    assert list(json.loads(lines[0])) == fields


def test_github_has_one_command_per_problem() -> None:
    assert printed("github", problem(suggestion="100% right")) == (
        "::error file=jobs.d/a.yaml,line=3,col=7,title=timing.schedule.at[0]::"
        "it is wrong%0A100%25 right"
    )


@given(problems_made)
def test_github_output_can_be_parsed_back(made: Problem) -> None:
    """Parse as the Actions runner does: properties end at the first `::`, `%25` is last."""
    command = printed("github", made)
    assert "\n" not in command
    assert "\r" not in command
    head, _, message = command.removeprefix("::error ").partition("::")
    properties = dict(part.split("=", 1) for part in head.split(","))

    def unescaped(text: str) -> str:
        for escape, character in (
            ("%0D", "\r"),
            ("%0A", "\n"),
            ("%3A", ":"),
            ("%2C", ","),
            ("%25", "%"),
        ):
            text = text.replace(escape, character)
        return text

    assert unescaped(properties["file"]) == made.file
    assert (properties["line"], properties["col"]) == (str(made.line), str(made.column))
    assert unescaped(message) == (
        f"{made.message}\n{made.suggestion}" if made.suggestion else made.message
    )


def _object(required: str, **properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


_MESSAGE = _object("text", text={"type": "string"})
_REGION = _object("startLine startColumn", startLine={"minimum": 1}, startColumn={"minimum": 1})
_ARTIFACT = _object(
    "uri", uri={"type": "string", "pattern": r"^(file:///)?([A-Za-z0-9._~/-]|%[0-9A-F]{2})+$"}
)
_LOCATION = _object(
    "physicalLocation",
    physicalLocation=_object("artifactLocation", artifactLocation=_ARTIFACT, region=_REGION),
)
SARIF = _object(
    "version runs",
    **{"$schema": {"pattern": "^https://docs.oasis-open.org/sarif/sarif/v2.1.0/"}},
    version={"const": "2.1.0"},
    runs={
        "minItems": 1,
        "items": _object(
            "tool",
            tool=_object(
                "driver",
                driver=_object(
                    "name",
                    name={"type": "string"},
                    version={"type": "string"},
                    rules={
                        "uniqueItems": True,
                        "items": _object("id", id={"type": "string"}, shortDescription=_MESSAGE),
                    },
                ),
            ),
            columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
            results={
                "items": _object(
                    "message",
                    ruleId={"type": "string"},
                    ruleIndex={"type": "integer", "minimum": -1},
                    level={"enum": ["none", "note", "warning", "error"]},
                    message=_MESSAGE,
                    locations={"items": _LOCATION, "maxItems": 1},
                )
            },
        ),
    },
)
"""The part of the SARIF 2.1.0 schema (sections 3.13 to 3.52 of the standard) that the
reports use. `tests/integration/test_editor.py` checks against the full schema with
Microsoft's validator.
"""


@given(st.lists(problems_made, max_size=4))
def test_sarif_follows_its_schema_and_describes_every_rule(made: list[Problem]) -> None:
    log = json.loads(printed("sarif", *made))
    jsonschema.Draft7Validator(SARIF).validate(log)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert [rules[result["ruleIndex"]]["id"] for result in run["results"]] == [
        each["ruleId"] for each in run["results"]
    ]
    assert len(run["results"]) == len(made)


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("", "request"),
        ("name", "name"),
        ("timing.schedule.at[0]", "timing.schedule.at"),
        ("timing.run_later.start", "timing.run_later.start"),
        ("process.nonsense", "process"),
        ("process.environment.PORT", "process.environment"),
        ("nonsense", "request"),
    ],
)
def test_a_sarif_rule_is_a_key_with_its_description_from_the_schema(path: str, rule: str) -> None:
    log = json.loads(printed("sarif", problem(path=path)))
    (described,) = log["runs"][0]["tool"]["driver"]["rules"]
    assert described["id"] == rule
    assert described["shortDescription"]["text"].endswith(".")


def test_file_names_are_relative_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    inside, outside = problem(file=str(tmp_path / "a b%.yaml")), problem(file="/else where/b.yaml")
    located = json.loads(printed("sarif", inside, outside))["runs"][0]["results"]
    uris = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in located]
    assert uris == ["a%20b%25.yaml", "file:///else%20where/b.yaml"]
    assert "file=a b%25.yaml,line" in printed("github", inside)
    assert 'name="a b%.yaml"' in printed("junit", inside)


@given(st.lists(problems_made, max_size=4))
def test_junit_has_one_case_per_file_which_fails_if_the_file_has_problems(
    made: list[Problem],
) -> None:
    ordered = sorted(made, key=lambda each: each.file)
    suites = ElementTree.fromstring(printed("junit", *ordered, good=("jobs.d/good.yaml",)))
    (suite,) = suites
    bad = {each.file for each in made}
    assert {case.get("name"): len(case) for case in suite} == {
        "jobs.d/good.yaml": 0,
        **dict.fromkeys(bad, 1),
    }
    assert (suite.get("tests"), suite.get("failures")) == (str(len(bad) + 1), str(len(bad)))


def test_junit_follows_the_schema_of_jenkins_and_replaces_invalid_characters() -> None:
    xmlschema = pytest.importorskip(
        "xmlschema", reason="xmlschema, of the extra `test`, is not installed"
    )
    text = printed(
        "junit", problem(message="a\x00\x1b\ufffe<&>\"'\ud800"), problem(line=4), good=("b.yaml",)
    )
    assert re.search("[\x00-\x08\x1b\ufffe\ud800]", text) is None
    xmlschema.XMLSchema10(str(JUNIT)).validate(StringIO(text))


@pytest.mark.parametrize("form", FORMS)
def test_each_format_is_complete_without_problems(form: str) -> None:
    text = printed(form, good=("a.yaml",))
    match form:
        case "sarif":
            assert json.loads(text)["runs"][0]["results"] == []
        case "junit":
            assert ElementTree.fromstring(text).get("failures") == "0"
        case _:
            assert text == ""


CAUTION = Problem(file="jobs.d/b.yaml", line=1, column=1, path="timing", message="*/45 restarts")


def cautioned(form: str) -> str:
    """Return the report of a valid file with a caution."""
    found = Checked(problems=(), cautions=(CAUTION,), files=(CAUTION.file,), requests=1)
    return "\n".join(report(form, found))


def test_a_caution_is_a_warning_in_each_form() -> None:
    assert unstyle(cautioned("text")) == "jobs.d/b.yaml:1:1: caution: */45 restarts"
    assert json.loads(cautioned("json"))["severity"] == "caution"
    assert cautioned("github").startswith("::warning file=jobs.d/b.yaml,line=1,")
    (result,) = json.loads(cautioned("sarif"))["runs"][0]["results"]
    assert (result["level"], result["message"]["text"]) == ("warning", "*/45 restarts")
    junit = ElementTree.fromstring(cautioned("junit").partition("\n")[2])
    assert junit.get("failures") == "0"
    assert junit.findtext(".//system-out") == str(CAUTION)
