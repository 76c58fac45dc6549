"""The files that ship with the program, and their places."""

from __future__ import annotations

import json
import subprocess
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


def test_an_unknown_schema_is_refused_with_the_known_names() -> None:
    with pytest.raises(
        UsageError, match="no schema 'nothing'; there are defaults, monitor-record, process-request"
    ):
        resources.schema_text("nothing")


def test_the_examples_are_the_repositorys_own_jobs_folder() -> None:
    assert resources.examples_folder().samefile(ROOT / "jobs.d")


def test_a_users_files_beside_the_examples_are_not_examples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = tmp_path / "jobs.d"
    jobs.mkdir()
    for name in ("shipped.yaml", "other.yaml"):
        (jobs / name).touch()
    monkeypatch.setattr(resources, "_PACKAGE", tmp_path / "package")
    assert [path.name for path in resources.example_files()] == [
        "other.yaml",
        "shipped.yaml",
    ]  # as in an sdist
    for arguments in (["init", "-q"], ["add", "jobs.d/shipped.yaml"]):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True, timeout=60)
    assert [path.name for path in resources.example_files()] == ["shipped.yaml"]


@pytest.mark.parametrize(("inside", "beside"), [("schemas", "schemas"), ("examples", "jobs.d")])
def test_files_inside_the_package_take_precedence_over_those_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str, beside: str
) -> None:
    package = tmp_path / "package"
    monkeypatch.setattr(resources, "_PACKAGE", package)
    folder = {"schemas": resources.schemas_folder, "examples": resources.examples_folder}[inside]
    assert folder() == tmp_path / beside
    (package / inside).mkdir(parents=True)
    assert folder() == package / inside
