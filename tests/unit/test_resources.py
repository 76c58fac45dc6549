"""What is shipped with the program, and where it lies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from runner import resources
from runner.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_the_schemas_have_names() -> None:
    assert resources.schema_names() == ("defaults", "monitor-record", "process-request", "runner")


@pytest.mark.parametrize("name", resources.schema_names())
def test_each_schema_is_a_draft_07_schema_that_describes_itself(name: str) -> None:
    schema = json.loads(resources.schema_text(name))
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert schema["title"]
    assert schema["description"]


def test_a_schema_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match="no schema 'nothing'; there are defaults, monitor-record, process-request"):
        resources.schema_text("nothing")


def test_the_examples_are_the_repository_s_own_jobs_folder() -> None:
    assert resources.examples_folder().samefile(ROOT / "jobs.d")


@pytest.mark.parametrize(("inside", "beside"), [("schemas", "schemas"), ("examples", "jobs.d")])
def test_what_is_inside_the_package_comes_before_what_is_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str, beside: str
) -> None:
    package = tmp_path / "package"
    monkeypatch.setattr(resources, "_PACKAGE", package)
    folder = {"schemas": resources.schemas_folder, "examples": resources.examples_folder}[inside]
    assert folder() == tmp_path / beside
    (package / inside).mkdir(parents=True)
    assert folder() == package / inside
