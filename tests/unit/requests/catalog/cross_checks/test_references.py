"""Errors between documents: names that do not exist, cycles, and former names still in use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from support.effort import effort_of

from runner.errors import Problem
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.catalog.cross_checks.references import broken_references
from runner.requests.catalog.file_reader import loaded
from runner.requests.catalog.request_file import Candidate, Place


def candidates(files: Mapping[str, str]) -> dict[str, Candidate]:
    """Return the requests of some files, by name."""
    found: dict[str, Candidate] = {}
    for stem, text in files.items():
        place = Place(
            relative=f"{stem}.yaml",
            display=f"{stem}.yaml",
            path=f"/srv/{stem}.yaml",
            default_zone="UTC",
        )
        file = loaded(text.encode(), place)
        assert not file.problems, file.problems
        found |= {candidate.request.name: candidate for candidate in file.candidates}
    return found


def reported(
    files: Mapping[str, str],
    *,
    tolerated: frozenset[str] = frozenset(),
    incumbents: Mapping[str, str] | None = None,
) -> list[str]:
    return [
        str(problem)
        for _, problem in broken_references(candidates(files), tolerated, incumbents or {})
    ]


X = "process: {shell: x}"


def group(*members: str) -> str:
    return f"process: {{group: {{members: [{', '.join(members)}]}}}}"


def member(name: str) -> str:
    return f"{{request: {name}}}"


def test_a_reference_to_an_existing_name_is_valid() -> None:
    files = {
        "a": "process: {request: b}\non_failure: {request: tell}\nformerly: was-a",
        "b": group(member("c"), member("c"), "{name: in, group: {members: [{request: d}]}}"),
        "c": f"{X}\non_failure: {{request: tell}}",
        "d": X,
        "tell": X,
    }
    assert reported(files) == []


def test_each_unknown_name_is_reported_at_its_own_position() -> None:
    members = "    - {request: lod}\n    - {name: in, group: {members: [{request: gone}]}}\n"
    text = f"process:\n  group:\n    members:\n{members}on_failure:\n  request: tel\n"
    files = {"a": text, "load": X, "tell": X}
    assert reported(files) == [
        "a.yaml:4:17: no request is named `lod` (did you mean `load`?)",
        "a.yaml:5:46: no request is named `gone`",
        "a.yaml:7:12: no request is named `tel` (did you mean `tell`?)",
    ]
    found = list(broken_references(candidates(files), frozenset(), {}))
    assert [problem.path for _, problem in found] == [
        "process.group.members[0].request",
        "process.group.members[1].group.members[0].request",
        "on_failure.request",
    ]


def test_the_name_of_a_rejected_document_exists() -> None:
    files = {"a": group(member("bad")), "b": f"{X}\non_failure: {{request: bad}}"}
    assert len(reported(files)) == 2
    assert reported(files, tolerated=frozenset({"bad"})) == []


def test_a_reference_to_a_renamed_request_suggests_its_new_name() -> None:
    files = {"a": group(member("old")), "new": f"formerly: old\n{X}"}
    assert reported(files) == ["a.yaml:1:39: no request is named `old` (it is named `new` now)"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "process: {request: a}",
            "`a` refers to itself (say what it runs: a command or a shell line)",
        ),
        (
            group("{name: in, shell: x}", member("a")),
            "the group `a` contains itself (take it out of the members)",
        ),
        (
            f"{X}\non_failure: {{request: a}}",
            "`a` would run after its own failure (name another request; `retry` runs it again)",
        ),
    ],
)
def test_a_reference_to_itself_is_reported(text: str, message: str) -> None:
    (problem,) = reported({"a": text})
    assert problem.endswith(f": {message}")


def test_a_cycle_through_groups_and_references_is_reported_with_its_path() -> None:
    files = {
        "a": group(member("x"), member("b")),
        "b": "process: {request: c}",
        "c": group("{name: in, group: {members: [{request: x}, {request: a}]}}"),
        "x": X,
        "leads-there": group(member("a")),
    }
    cycle = "these requests refer to each other in a cycle:"
    assert reported(files) == [
        f"a.yaml:1:53: {cycle} a → b → c → a (remove one of these members)",
        f"b.yaml:1:20: {cycle} b → c → a → b (one of them must say what it runs)",
        f"c.yaml:1:82: {cycle} c → a → b → c (remove one of these members)",
    ]


def test_a_request_in_two_cycles_is_reported_once_with_the_shortest_path() -> None:
    files = {
        "a": group(member("b"), member("c")),
        "b": "process: {request: a}",
        "c": "process: {request: b}",
    }
    assert [line.split("cycle: ")[1].split(" (")[0] for line in reported(files)] == [
        "a → b → a",
        "b → a → b",
        "c → b → a → c",
    ]


GUARDED = "prevent_concurrent: true"


def guarded(process_name: str, *members: str) -> str:
    return group(*members).replace("process: {", f"process: {{name: {process_name}, {GUARDED}, ")


@pytest.mark.parametrize(
    ("files", "who"),
    [
        ({"all": guarded("close", member("one"))}, "it"),
        ({"all": guarded("close", member("by-way"))}, "it"),
        ({"all": guarded("close", member("inner"))}, "`one` in it"),
        ({"all": guarded("close", f"{{name: in, group: {{members: [{member('one')}]}}}}")}, "it"),
        (
            {
                "all": guarded("own/in", member("own")),
                "own": group(f"{{name: in, shell: x, {GUARDED}}}"),
            },
            "it",
        ),
        (
            {
                "all": guarded("close", member("own")),
                "own": group(f"{{name: in, shell: x, {GUARDED}}}"),
            },
            None,
        ),
        ({"all": group(member("one"))}, None),
        ({"all": guarded("close", member("free"))}, None),
        ({"all": guarded("other", member("one"), member("one"))}, None),
    ],
)
def test_a_member_that_would_wait_for_its_own_group_is_reported(
    files: dict[str, str], who: str | None
) -> None:
    known = {
        "one": f"process: {{name: close, shell: x, {GUARDED}}}",
        "free": "process: {name: close, shell: x}",
        "by-way": "process: {request: one}",
        "inner": guarded("inside", member("free"), member("one")),
    }
    found = reported(known | files)
    assert len(found) == (who is not None)
    for problem in found:
        assert problem.startswith("all.yaml:1:")
        assert f"{who} would wait for this group, which holds the guard" in problem


def test_an_inline_member_that_would_wait_for_its_own_group_is_reported() -> None:
    members = f"[{{name: in, shell: x, {GUARDED}}}]"
    text = f"name: all\nprocess: {{name: all/in, {GUARDED}, group: {{members: {members}}}}}"
    place = Place(relative="a.yaml", display="a.yaml", path="/srv/a.yaml", default_zone="UTC")
    (problem,) = loaded(text.encode(), place).problems
    assert "would wait for its own group" in problem.message
    assert problem.path == "process.group.members[0].name"


def test_many_guarded_groups_are_checked_quickly() -> None:
    files = {f"g{n}": guarded(f"n{n}", member(f"g{n + 1}")) for n in range(1000)} | {"g1000": X}
    found = candidates(files)
    problems: list[tuple[Candidate, Problem]] = []
    effort = effort_of(lambda: problems.extend(broken_references(found, frozenset(), {})))
    assert not problems
    assert effort < 3_000_000, (
        "to look from each to the end of the chain would be ten million calls"
    )


@pytest.mark.parametrize(
    ("group_says", "member_says", "key"),
    [
        ("environment: {PW: x}", "", "environment"),
        ("environment: {PW: x}", "environment: {OTHER: y}, ", None),
        ("environment: {PW: x}", "environment: {}, ", None),
        ("environment: {OTHER: x}", "", None),
        ("params: {pw: x}", "", "params"),
        ("params: {pw: x}", "params: {a: b}, ", None),
    ],
)
def test_a_members_secret_in_the_file_of_its_group_is_refused(
    group_says: str, member_says: str, key: str | None
) -> None:
    files = {
        "all": group(member("through")).replace("process: {", f"process: {{{group_says}, "),
        "through": group(member("by-way")),
        "by-way": "process: {request: real}",
        "real": f"process: {{{member_says}secrets: [PW], shell: x}}",
    }
    found = reported(files)
    assert len(found) == (key is not None)
    for problem in found:
        assert problem.startswith("all.yaml:1:")
        assert f"`PW` stands in the group's `{key}`" in problem


def following(**targets: str) -> str:
    """Return a request that these requests follow."""
    return "\n".join((X, *(f"{key}: {{request: {name}}}" for key, name in targets.items())))


def test_follow_ups_in_a_cycle_are_refused_with_the_whole_path() -> None:
    files = {
        "a": following(on_success="b"),
        "b": following(on_success="free", on_failure="c"),
        "c": following(on_success="a"),
        "free": X,
    }
    suggestion = "(remove one `on_success` or `on_failure` of this cycle)"
    words = "these requests would run after one another without end"
    assert reported(files) == [
        f"a.yaml:2:23: {words}: a → b → c → a {suggestion}",
        f"b.yaml:3:23: {words}: b → c → a → b {suggestion}",
        f"c.yaml:2:23: {words}: c → a → b → c {suggestion}",
    ]


def test_a_request_cannot_follow_itself() -> None:
    assert reported({"a": following(on_success="a")}) == [
        "a.yaml:2:23: `a` would run after its own success (name another request)"
    ]


def test_a_long_chain_of_follow_ups_is_no_cycle() -> None:
    chain = {f"r-{number}": following(on_success=f"r-{number + 1}") for number in range(2000)}
    assert reported({**chain, "r-2000": X}) == []


def test_a_member_may_follow_its_group() -> None:
    """As a member it has no follow-up of its own, so nothing runs without end."""
    first = f"{group(member('b'))}\non_success: {{request: b}}\n"
    assert reported({"a": first, "b": following(on_success="c"), "c": X}) == []


# --- formerly
# --------------------------------------------------------------------------------

HEIR = f"formerly: old\n{X}"


def test_a_former_name_that_is_still_in_use_is_refused() -> None:
    assert reported({"new": HEIR, "old": X}) == [
        "new.yaml:1:11: `old` is not a former name: old.yaml:1 still uses it (remove that "
        "request, or `formerly` here)"
    ]
    (problem,) = reported({"new": HEIR}, tolerated=frozenset({"old"}))
    assert "`old` is not a former name: a request that is invalid for now still uses it" in problem


def test_a_former_name_differs_from_the_current_name() -> None:
    assert reported({"a": f"formerly: a\n{X}"}) == [
        "a.yaml:1:11: `a` is the request's name now, not a former one (leave `formerly` out)"
    ]


@pytest.mark.parametrize(
    ("incumbents", "rejected", "successor"),
    [({}, "b", "a"), ({"b": "b.yaml"}, "a", "b"), ({"a": "a.yaml"}, "b", "a")],
)
def test_one_request_inherits_the_state_an_incumbent_else_the_first(
    incumbents: Mapping[str, str], rejected: str, successor: str
) -> None:
    assert reported({"a": HEIR, "b": HEIR}, incumbents=incumbents) == [
        f"{rejected}.yaml:1:11: `old` was already renamed, in {successor}.yaml:1 "
        "(only one can keep its state)"
    ]


def test_a_request_with_two_unknown_names_is_rejected_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        f"{group(member('gone'), member('lost'))}\non_failure: {{request: c}}"
    )
    (tmp_path / "b.yaml").write_text("process: {request: c}")
    (tmp_path / "c.yaml").write_text(X)
    catalog = CatalogReader(tmp_path, default_zone="UTC").read()
    assert list(catalog.requests) == ["b", "c"]
    assert [problem.column for problem in catalog.problems] == [39, 56]


def test_many_unknown_names_are_reported_quickly() -> None:
    def effort(names: int) -> int:
        text = "\n---\n".join(
            f"name: r{number}\nprocess: {{request: s{number}}}" for number in range(names)
        )
        requests = candidates({"all": text})
        problems: list[tuple[Candidate, Problem]] = []
        made = effort_of(lambda: problems.extend(broken_references(requests, frozenset(), {})))
        assert len(problems) == names
        return made

    assert effort(600) < 3 * effort(300), (
        "twice as many are about twice the work, and not four times"
    )
