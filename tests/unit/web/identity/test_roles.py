"""Roles and scopes."""

from __future__ import annotations

import pytest

from runner.web.identity.roles import Role, Scope


def test_each_role_allows_what_the_smaller_ones_do() -> None:
    allowed = {(own, needed) for own in Role for needed in Role if own.allows(needed)}
    viewer, operator, admin = Role.VIEWER, Role.OPERATOR, Role.ADMIN
    assert allowed == {
        (viewer, viewer),
        (operator, viewer),
        (operator, operator),
        (admin, viewer),
        (admin, operator),
        (admin, admin),
    }


@pytest.mark.parametrize(
    ("labels", "client", "is_admitted"),
    [
        ({"team": "finance", "tier": "a"}, "acme", True),
        ({"team": "ops", "tier": "a"}, "acme", True),
        ({"team": "finance"}, "acme", False),
        ({"team": "finance", "tier": "b"}, "acme", False),
        ({"team": "finance", "tier": "a"}, None, False),
        ({}, "acme", False),
    ],
)
def test_a_scope_needs_each_of_its_keys_and_its_client(
    labels: dict[str, str], client: str | None, is_admitted: bool
) -> None:
    scope = Scope(labels=frozenset({"team=finance", "team=ops", "tier=a"}), client="acme")
    assert scope.admits(labels, client) == is_admitted
    assert Scope().admits(labels, client)
