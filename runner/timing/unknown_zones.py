"""What to write in place of an unknown time zone. Reads the names of the zones."""

from __future__ import annotations

import re
from functools import cache
from zoneinfo import available_timezones

from runner.spelling import nearest_word

NO_ZONES = frozenset({"localtime", "posixrules", "Factory"})
"""Files in the zone directory that are not IANA keys: the meaning of "localtime" and
"posixrules" depends on the machine, and "Factory" means "not configured".
"""
_BARE_OFFSET = re.compile(r"(?:UTC|GMT)? ?([+-])0?(\d{1,2})(?::?00)?", re.ASCII | re.IGNORECASE)


def suggestion_for(key: str) -> str:
    """Return what to write in place of the key of an unknown zone."""
    match = _BARE_OFFSET.fullmatch(key.strip())
    if match and int(match[2]):
        # POSIX counts west of Greenwich as positive: UTC+2 is Etc/GMT-2.
        etc = f"Etc/GMT{'-' if match[1] == '+' else '+'}{int(match[2])}"
        return f"write a place, like Europe/Madrid, or {etc} (its sign is reversed)"
    if re.fullmatch(r"(?:UTC|GMT)?[+-]?0|Z(?:ulu)?", key.strip(), re.ASCII | re.IGNORECASE):
        return "write UTC"
    names = _zones_by_folded_name()
    folded = key[:80].strip().replace(" ", "_").casefold()
    near = [name for low, name in names.items() if folded and low.endswith(f"/{folded}")]
    best = names.get(folded) or (
        " or ".join(near[:3]) if near else nearest_word(folded, names.values())
    )
    if best:
        return f"did you mean {best}?"
    return "write an IANA name such as Europe/Madrid or UTC"


@cache
def _zones_by_folded_name() -> dict[str, str]:
    names = sorted(available_timezones() - NO_ZONES)
    return {name.casefold(): name for name in names}
