"""The architecture: who may import whom, who may touch what, and where unit tests are."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "runner"
SOURCES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))
}
PURE = ("timing/", "planning/", "lifecycle.py", "requests/model.py")
PURE_SOURCES = [path for path in SOURCES if path.startswith(PURE)]
ONLY_IMPORTERS = {
    "schedule": ("schedule_loop.py",),
    "watchdog": ("watching/",),
    "sqlite3": ("history/", "store/", "worker/notes.py"),
}
TOUCHING = {"time", "os", "sqlite3", "subprocess", "schedule", "watchdog", "loguru"}
CLOCKS = {"now", "utcnow", "today", "fromtimestamp"}
UNIT_TESTS = Path(__file__).parent
# Tests of laws that no single module keeps.
LAWS = {
    "test_dead_code.py": "the whole program",
    "test_layers.py": "the whole program",
    "test_statements.py": "the SQL of the whole program",
    "importing/importers/test_damaged_sources.py": "all importers",
    "planning/test_checklist.py": "Openbravo's rows that planning decides",
    "planning/fires/test_life_cycle.py": "all changes of a state, in any order",
    "requests/test_checklist.py": "Openbravo's rows about requests",
    "requests/test_hostile_documents.py": "from bytes to a catalog",
    "requests/test_process_keys.py": "schema, model, store and words",
    "requests/test_schema_and_model.py": "schema and model",
}


@cache
def nodes_of(source: str) -> list[ast.AST]:
    return list(ast.walk(ast.parse(source)))


def imported(source: str) -> Iterator[str]:
    """Yield the top-level packages that a module imports, anywhere in it."""
    for node in nodes_of(source):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def called(source: str) -> Iterator[str]:
    """Yield the last name of each call in a module: "now" for `datetime.now(UTC)`."""
    for node in nodes_of(source):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name


def test_import_linter_keeps_its_contracts() -> None:
    pytest.importorskip("importlinter", reason="import-linter is in the extra `dev`")
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("package", "places"), ONLY_IMPORTERS.items())
def test_a_package_is_imported_in_its_own_place_only(package: str, places: tuple[str, ...]) -> None:
    importers = [path for path, source in SOURCES.items() if package in imported(source)]
    assert importers, f"nobody imports {package}"
    assert [path for path in importers if not path.startswith(places)] == []


@pytest.mark.parametrize("path", PURE_SOURCES)
def test_the_pure_core_touches_nothing_and_reads_no_clock(path: str) -> None:
    assert TOUCHING.isdisjoint(imported(SOURCES[path]))
    assert CLOCKS.isdisjoint(called(SOURCES[path]))


def test_only_the_command_line_prints() -> None:
    printing = [
        path for path, source in SOURCES.items() if {"print", "echo", "secho"} & set(called(source))
    ]
    assert [path for path in printing if not path.startswith("cli/")] == []


def test_each_unit_test_is_named_after_the_module_or_package_that_it_tests() -> None:
    tested = set(LAWS)
    for path in PACKAGE.rglob("*"):
        if path.suffix in (".py", ".service"):
            name = path.name.removesuffix(".py").strip("_").replace(".", "_")
            tested.add(path.relative_to(PACKAGE).with_name(f"test_{name}.py").as_posix())
    for path in PACKAGE.rglob("__init__.py"):
        package = path.parent.relative_to(PACKAGE)
        tested.add((package / f"test_{package.name}.py").as_posix())
    present = {path.relative_to(UNIT_TESTS).as_posix() for path in UNIT_TESTS.rglob("test_*.py")}
    assert present - tested == set(), "move it to its module, or give a reason in LAWS"
    assert LAWS.keys() - present == set()


def test_these_checks_find_violations() -> None:
    source = """
import os.path
from schedule import Job
from datetime import UTC, datetime, time

def late() -> datetime:
    import sqlite3
    print("now")
    return datetime.now(UTC)
"""
    assert set(imported(source)) == {"os", "schedule", "datetime", "sqlite3"}
    assert set(called(source)) == {"print", "now"}
    assert {path.partition("/")[0] for path in PURE_SOURCES} == {
        "timing",
        "planning",
        "lifecycle.py",
        "requests",
    }
