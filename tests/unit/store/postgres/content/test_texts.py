"""Text that PostgreSQL cannot hold."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner.store.postgres.content.texts import to_sql, to_text


@given(st.text(st.characters(codec=None)))
def test_any_text_survives_in_a_form_that_postgresql_holds(text: str) -> None:
    held = to_sql(text)
    assert "\0" not in held
    held.encode()
    assert to_text(held) == text


def test_ordinary_text_stays_as_it_is() -> None:
    assert to_sql('Ångström\n{"a": 1}') == 'Ångström\n{"a": 1}'
