"""Every function, class and constant of the program is used by the program."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "runner"
BUILD = PROGRAM.parent / "hatch_build.py"
CALLED_FROM_OUTSIDE = {
    # Methods that a library calls.
    *("format_commands", "format_completion", "get_command", "list_commands"),  # click
    "emit",  # logging
    "ignore_aliases",  # PyYAML
    "should_run",  # schedule
    "redirect_request",  # urllib
    "_fields_",  # ctypes
    *("readinto", "seekable"),  # io
    "collect",  # prometheus_client
    "trouble",
    "CurrentViewer",
    # A value that only the store's SQL writes.
    "ANSWERED",
    # uvicorn calls these: to install its signal handlers, and for each connection.
    "capture_signals",
    "connection_lost",
    "connection_made",
    "data_received",
    # The list of documents, by which tests find them.
    "DOCUMENTS",
    # A bound on memory that a test of the journal measures.
    "kept_bytes",
    # io.BufferedReader calls these.
    *("readinto", "seekable"),
}


def defined_in(source: str) -> Iterator[str]:
    """Yield the names that a module defines, without functions that `@click.command(…)` takes."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name, decorator_list=decorators) if all(
                isinstance(each, ast.Name) for each in decorators
            ):
                yield name
            case ast.ClassDef(name=name) | ast.Assign(targets=[ast.Name(id=name)]):
                yield name


def used_in(source: str) -> Iterator[str]:
    """Yield the names that a module reads, also as an attribute."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name):
                yield name


def unused_in(sources: list[str], *, callers: tuple[str, ...] = ()) -> set[str]:
    used = {name for source in (*sources, *callers) for name in used_in(source)}
    return {
        name
        for source in sources
        for name in defined_in(source)
        if name not in used and not (name.startswith("__") and name.endswith("__"))
    }


def test_the_program_uses_what_it_defines() -> None:
    sources = [path.read_text() for path in PROGRAM.rglob("*.py")]
    assert unused_in(sources, callers=(BUILD.read_text(),)) - CALLED_FROM_OUTSIDE == set()


def test_an_unused_function_is_found() -> None:
    assert unused_in(["LIMIT = 3\ndef used(): return LIMIT\n", "def forgotten(): used()\n"]) == {
        "forgotten"
    }
