"""What every SQL statement of the program keeps to."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PROGRAM = Path(__file__).parents[2] / "runner"
_STATEMENT = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH|REPLACE)\b")
_NUMBERED = re.compile(r"\?\d")


def statements_in(source: str) -> Iterator[str]:
    """Yield the texts of a module that are SQL statements."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) if _STATEMENT.match(text):
                yield text


def test_no_statement_numbers_its_parameters() -> None:
    """Python 3.14 refuses to bind a sequence to `?1`; 3.12 warns."""
    assert [*statements_in('execute("UPDATE a SET b = ?1")')] == ["UPDATE a SET b = ?1"]
    found = [each for path in PROGRAM.rglob("*.py") for each in statements_in(path.read_text())]
    assert len(found) > 50
    assert not [each for each in found if _NUMBERED.search(each)]
