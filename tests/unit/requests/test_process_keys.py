"""Each key of a process in the schema reaches the model, the store and the words.

`tests/README.md` says what to do to add a key; this test fails for a key that one of
the places lacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from runner.planning.words.process_words import action_words, member_words, process_words
from runner.requests.building.process_json import process_from, process_text
from runner.requests.building.request import RequestDraft, built
from runner.requests.model import Group, Process, Source
from runner.requests.schema.checking import findings_in
from runner.requests.schema.lookup import alternatives_of
from runner.requests.schema.shipped import schema_of

KEYS: dict[str, Any] = schema_of("process-request")["properties"]["process"]["properties"]
ACTIONS = {"command", "shell", "python", "group", "request"}
NEEDED: dict[str, dict[str, Any]] = {"on_overlap": {"prevent_concurrent": True}}
"""The other keys that a key requires."""


def process_of(data: dict[str, Any]) -> Process:
    """Build the process of a request, as its file would be built."""
    document = {"process": data}
    assert findings_in(document) == ()
    source = Source(file="a.yaml", line=1, sha256="")
    draft = RequestDraft(data=document, name="a", folder="/srv", source=source)
    request, findings = built(draft, default_zone="UTC")
    assert findings == ()
    assert request is not None
    return request.process


def process_with(key: str, value: Any) -> Process:
    """Build a process that has a key."""
    if key in ACTIONS:
        return process_of({key: value})
    if key == "scheduled":
        members = [{"request": "b"}, {"request": "c", "scheduled": value}]
        return process_of({"group": {"members": members}})
    return process_of({"shell": "x", **NEEDED.get(key, {}), key: value})


def required_in(key: str, *, beside: str = "") -> dict[str, Any]:
    """Return the keys that the mapping of a key requires, with a value for each.

    Of alternatives it requires the first, unless `beside` is one of them.
    """
    schema = KEYS[key]
    alternatives = alternatives_of(schema)
    needed = (*schema.get("required", ()), *(() if beside in alternatives else alternatives[:1]))
    return {each: schema["properties"][each]["examples"][0] for each in needed}


def with_key(path: tuple[str, ...]) -> Iterator[Process]:
    """Yield a process for each example of the key at a path."""
    key, *inner = path
    if not inner:
        yield from (process_with(key, example) for example in KEYS[key]["examples"])
        return
    for example in KEYS[key]["properties"][inner[0]]["examples"]:
        yield process_with(key, {**required_in(key, beside=inner[0]), inner[0]: example})


def without(path: tuple[str, ...]) -> Process:
    """Return the process that lacks the key at a path."""
    key, *inner = path
    required = required_in(key, beside=inner[0] if inner else "")
    others = {each: value for each, value in required.items() if each not in inner}
    if inner and others:
        return process_with(key, others)
    if key in ACTIONS:
        return process_of({"command": ["another"]})
    if key == "scheduled":
        return process_of({"group": {"members": [{"request": "b"}, {"request": "c"}]}})
    return process_of({"shell": "x", **NEEDED.get(key, {})})


def described(process: Process) -> list[Any]:
    """Return all that `runner show` says about a process."""
    return [
        process.name,
        process.directory,
        action_words(process.action),
        member_words(process),
        process_words(process),
    ]


PATHS = [
    *((key,) for key in KEYS),
    *(
        (key, inner)
        for key, schema in KEYS.items()
        for inner in schema.get("properties", {})
        if (key, inner) != ("group", "members")
    ),
]


def changed(path: tuple[str, ...]) -> tuple[Process, Process]:
    """Return the process without the key, and one that the key changes."""
    plain = without(path)
    for process in with_key(path):
        if process != plain:
            return plain, process
    raise AssertionError(f"no example of {path} changes the model of the process")


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_key_of_the_schema_is_in_the_model(path: tuple[str, ...]) -> None:
    changed(path)


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_key_of_the_schema_survives_the_store(path: tuple[str, ...]) -> None:
    _, process = changed(path)
    assert process_from(process_text(process)) == process


@pytest.mark.parametrize("path", PATHS, ids=".".join)
def test_a_key_of_the_schema_is_shown(path: tuple[str, ...]) -> None:
    plain, process = changed(path)
    assert described(process) != described(plain)


def test_the_document_of_a_group_has_its_members_in_the_model() -> None:
    group = process_of({"group": KEYS["group"]["examples"][0]}).action
    assert isinstance(group, Group)
    assert group.members
