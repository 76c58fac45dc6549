"""The address of a store in PostgreSQL, read from its URL. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from runner.errors import StoreError
from runner.store.place import public_url

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
_EXAMPLE = "postgresql://runner@db.example:5432/runner"

_UNREADABLE = (
    f"the URL of the store cannot be read; write it like {_EXAMPLE}, with %-codes for special"
    " characters in names and password"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the tables of a store are."""

    parameters: dict[str, str] = field(repr=False)
    """The parameters of a connection for libpq, the password included."""
    schema: str
    words: str
    """The address for a message, without secrets."""

    def without_secrets(self, text: str) -> str:
        """Return a message of the database without the password."""
        password = self.parameters.get("password")
        return text.replace(password, "…") if password else text


def address_of(url: str) -> Address:
    """Read the URL of a store. Raises StoreError, without the URL's content.

    Its parameter `schema` names the schema of the tables, by default `runner`.
    """
    try:
        parts = urlsplit(url)
    except ValueError:  # square brackets that do not match
        raise StoreError(_UNREADABLE) from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise StoreError(f"the URL of the store is not a URL of PostgreSQL, such as {_EXAMPLE}")
    if parts.netloc.count("@") > 1:
        raise StoreError("the password in the URL of the store has an @: write it as %40")
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = query.pop("schema", "runner")
    if not _SCHEMA.fullmatch(schema):
        raise StoreError(
            "`schema` in the URL of the store is not a name of lower-case letters, digits and _"
        )
    plain = urlunsplit((parts.scheme, parts.netloc, parts.path, urlencode(query), ""))
    try:
        parameters = conninfo_to_dict(plain)
    except ProgrammingError:  # its message may quote the password
        raise StoreError(_UNREADABLE) from None
    return Address(
        parameters={key: str(value) for key, value in parameters.items()},
        schema=schema,
        words=public_url(url),
    )
