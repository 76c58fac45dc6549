"""Tokens: made once, recognised, removed."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from runner.errors import RefusedError, StoreError
from runner.web.identity.roles import Role, Scope
from runner.web.identity.tokens import FILE, Token, Tokens, new_token

NOW = datetime.now(UTC)
FINANCE = Scope(labels=frozenset({"team=finance"}), client="acme")


def added(tokens: Tokens, name: str, *, expires: datetime | None = None) -> tuple[Token, str]:
    token, secret = new_token(name, Role.OPERATOR, FINANCE, expires=expires)
    tokens.add(token)
    return token, secret


def test_a_token_is_recognised_by_its_secret_and_keeps_role_and_scope(tmp_path: Path) -> None:
    token, secret = added(Tokens(tmp_path), "maria")
    assert Tokens(tmp_path).of_secret(secret, NOW) == token


def test_no_secret_is_stored_and_only_the_owner_reads_the_file(tmp_path: Path) -> None:
    _, secret = added(Tokens(tmp_path), "maria")
    file = tmp_path / FILE
    assert secret.partition("_")[2] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_only_the_exact_secret_of_a_valid_token_is_accepted(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token, secret = added(tokens, "maria")
    guesses = [
        "",
        secret[:-1],
        secret + "a",
        secret.upper(),
        token.sha256,
        "maria",
        "é\udcff",
        "\0",
    ]
    assert [tokens.of_secret(guess, NOW) for guess in guesses] == [None] * len(guesses)


def test_an_expired_token_is_refused(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    token, secret = added(tokens, "maria", expires=NOW + timedelta(days=1))
    assert tokens.of_secret(secret, NOW) == token
    assert tokens.of_secret(secret, NOW + timedelta(days=1)) is None


def test_a_removed_token_is_refused_by_a_server_that_knew_it(tmp_path: Path) -> None:
    server, command = Tokens(tmp_path), Tokens(tmp_path)
    _, secret = added(command, "maria")
    added(command, "ben")
    assert server.of_secret(secret, NOW) is not None
    command.remove("maria")
    assert server.of_secret(secret, NOW) is None
    assert [each.name for each in server.all()] == ["ben"]


def test_a_name_is_used_once_and_an_unknown_one_is_refused(tmp_path: Path) -> None:
    tokens = Tokens(tmp_path)
    added(tokens, "maria")
    with pytest.raises(RefusedError, match="there is a token 'maria' already"):
        added(tokens, "maria")
    with pytest.raises(RefusedError, match="no token 'ben'"):
        tokens.remove("ben")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"tokens": [{}]}', '{"tokens": [1]}', "[" * 9999])
def test_a_damaged_file_lets_nobody_in_and_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(StoreError, match="cannot be read"):
        Tokens(tmp_path).of_secret("x", NOW)
