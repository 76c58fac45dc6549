"""`calendar`: the public holidays of a country or region, as a file of dates.

The library `holidays` is optional and imported only here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import click

from runner.cli.output.tables import echo, print_table
from runner.errors import UsageError
from runner.installation import missing_extra
from runner.spelling import nearest_word
from runner.values import neutral

_LIST = "list"
_YEARS = re.compile(r"(\d{4})(?:\.\.(\d{4}))?", re.ASCII)
_MOST_YEARS = 100


@click.command("calendar")
@click.argument("place", metavar="PLACE|list")
@click.option(
    "--years",
    metavar="Y..Y",
    help="The years to write, such as 2026..2028.  [default: this year and the next two]",
)
def calendar_command(place: str, years: str | None) -> None:
    """Write the public holidays of PLACE as a file of dates for `except`, with their
    names as comments.

    PLACE is a country, or a country and a region: ES, ES-MD. `list` shows all of them.
    The runner reads the file alone, so commit it; `runner plan` shows what a new one
    changes. This needs the extra `calendars`: `runner --version` says how to add it.

    \b
    Examples:
      runner calendar list
      runner calendar ES-MD --years 2026..2028 > jobs.d/holidays.txt
    """
    library = _library()
    known: Mapping[str, list[str]] = library.list_supported_countries(include_aliases=False)
    if place == _LIST:
        print_table(
            ("COUNTRY", "REGIONS"),
            [(country, ", ".join(regions) or "-") for country, regions in sorted(known.items())],
        )
        return
    country, region = _known_place(place, known)
    first, last = _read_years(years)
    for line in _lines(library, country, region, first, last):
        echo(line)


def _library() -> Any:
    try:
        import holidays
    except ImportError:
        raise UsageError(missing_extra("calendars")) from None
    return holidays


def _known_place(place: str, known: Mapping[str, list[str]]) -> tuple[str, str | None]:
    """Return the country and the region that a text names. Raises UsageError."""
    country, dash, wanted = place.partition("-")
    country = country.upper()
    if country not in known:
        raise UsageError(f"there is no calendar of {place!r}; {_near(country, known)}")
    if not dash:
        return country, None
    region = next((each for each in known[country] if each.upper() == wanted.upper()), None)
    if region is None:
        regions = ", ".join(known[country]) or "none"
        raise UsageError(f"{country} has no region {wanted!r}; its regions are: {regions}")
    return country, region


def _near(country: str, known: Iterable[str]) -> str:
    near = nearest_word(country, known)
    return f"did you mean {near}?" if near else "`runner calendar list` shows all of them"


def _read_years(text: str | None) -> tuple[int, int]:
    """Return the first and the last year. Raises UsageError."""
    if text is None:
        this_year = datetime.now(UTC).year
        return this_year, this_year + 2
    match = _YEARS.fullmatch(text)
    if match is None:
        raise UsageError(f"--years {text!r} is not a span of years; write it like 2026..2028")
    first, last = int(match[1]), int(match[2] or match[1])
    if not first <= last < first + _MOST_YEARS:
        raise UsageError(f"--years {text}: a span has 1 to {_MOST_YEARS} years, the earlier first")
    return first, last


def _lines(library: Any, country: str, region: str | None, first: int, last: int) -> Iterator[str]:
    """Yield the file of dates, line by line. Raises UsageError for years without data."""
    years = range(first, last + 1)
    found = library.country_holidays(country, subdiv=region, years=years, language="en_US")
    by_year = {day.year for day in found}
    if missing := [year for year in years if year not in by_year]:
        raise UsageError(f"the library holidays has no data of {country} for {missing[0]}")
    place = country if region is None else f"{country}-{region}"
    yield f"# Public holidays of {place}, {first}..{last}, by holidays {library.__version__}"
    days: list[tuple[date, str]] = sorted(found.items())
    for day, name in days:
        yield f"{day}  # {neutral(name)}"
