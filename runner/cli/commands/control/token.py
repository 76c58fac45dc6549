"""`token`: who may use the page. Touches the tokens in the state folder; needs no runner."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

from runner.access.places import Places
from runner.cli.arguments.selection import labels_of
from runner.cli.options import output_option, place_options
from runner.cli.output.fitting import moment_text, print_fitted
from runner.cli.output.tables import echo, json_line
from runner.errors import UsageError
from runner.values import parse_duration
from runner.web.identity.roles import Role, Scope
from runner.web.identity.tokens import Token, Tokens, new_token

_NAME = re.compile("[a-z0-9][a-z0-9._-]{0,99}")


@click.command("token")
@click.argument("action", type=click.Choice(["add", "list", "remove"]))
@click.argument("name", required=False)
@click.option(
    "--role",
    type=click.Choice([*map(str, Role)]),
    help="For add. viewer: look. operator: also schedule, unschedule, reschedule, exec, kill, "
    "acknowledge. admin: also pause, resume, backfill, reload.  [default: viewer]",
)
@click.option(
    "--only-label",
    "labels",
    metavar="KEY=VALUE",
    multiple=True,
    help="For add: only requests with this label; may be repeated.",
)
@click.option(
    "--only-client", "client", metavar="C", help="For add: only requests with this client."
)
@click.option("--expires", metavar="D", help="For add: after how long.  [default: never]")
@output_option
@place_options
def token_command(
    action: str,
    name: str | None,
    role: str | None,
    labels: tuple[str, ...],
    client: str | None,
    expires: str | None,
    output: str,
    places: Places,
) -> None:
    """Manage the tokens that log in to the page and the API.

    `add` prints the new token: it is shown only then. With --only-label or --only-client
    the token sees and touches only these requests. `remove` ends its logins at once.

    \b
    Examples:
      runner token add grafana --role viewer
      runner token add maria --role operator --only-label team=finance --expires 90d
      runner token list
      runner token remove maria
    """
    tokens = Tokens(places.state)
    is_for_add = bool(role or labels or client or expires)
    if action != "add" and is_for_add:
        raise UsageError("--role, --only-label, --only-client and --expires belong to `token add`")
    if (name is None) != (action == "list"):
        raise UsageError("give `add` and `remove` the name of a token, and `list` none")
    if name is None:
        _list(tokens, output, places)
    elif action == "remove":
        tokens.remove(name)
        echo(f"{name}: removed")
    else:
        labels_of(labels)
        _add(tokens, name, role, Scope(labels=frozenset(labels), client=client), expires)


def _add(tokens: Tokens, name: str, role: str | None, scope: Scope, expires: str | None) -> None:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a token's name has small letters, digits, `.`, `_` and `-`, at most 100: not {name!r}"
        )
    token, secret = new_token(name, Role(role or Role.VIEWER), scope, expires=_end(expires))
    tokens.add(token)
    echo(f"the token of {name}; it is shown only now:", err=True)
    echo(secret)


def _list(tokens: Tokens, output: str, places: Places) -> None:
    found = tokens.all()
    if output == "json":
        for each in found:
            echo(json_line(_item(each)))
    elif not found:
        echo("there are no tokens; `runner token add NAME --role viewer` makes one", err=True)
    else:
        rows = [_row(each, places.zone) for each in found]
        print_fitted(["NAME", "ROLE", "SCOPE", "CREATED", "EXPIRES"], rows)


def _row(token: Token, zone: str) -> list[str]:
    created, ends = moment_text(token.created, zone), _end_words(token, zone)
    return [token.name, str(token.role), scope_words(token.scope), created, ends]


def scope_words(scope: Scope) -> str:
    """Return a scope in words."""
    client = [] if scope.client is None else [f"client {scope.client}"]
    return ", ".join([*sorted(scope.labels), *client]) or "everything"


def _end(expires: str | None) -> datetime | None:
    if expires is None:
        return None
    try:
        return datetime.now(UTC) + parse_duration(expires)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--expires: {error}") from None


def _end_words(token: Token, zone: str) -> str:
    if token.expires is None:
        return "never"
    text = moment_text(token.expires, zone)
    return f"expired {text}" if token.is_expired(datetime.now(UTC)) else text


def _item(token: Token) -> dict[str, object]:
    return {
        "name": token.name,
        "role": token.role,
        "labels": sorted(token.scope.labels),
        "client": token.scope.client,
        "created": token.created,
        "expires": token.expires,
    }
