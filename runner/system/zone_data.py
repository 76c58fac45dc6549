"""Reads the system's time zone and the zone data of the machine. Reads files.

zoneinfo reads the same files, but two things are missing there. It offers no bytes to
compare, and `ZoneInfo` never returns from a file that lacks its last newline, as during
a copy.
"""

from __future__ import annotations

import os
import re
import zoneinfo
from pathlib import PurePath

from runner.system.regular_files import is_file, read_regular, real_path

_LOCALTIME = "/etc/localtime"
_KEY = re.compile(r"[A-Za-z0-9_+-]{1,40}(?:/[A-Za-z0-9_+-]{1,40}){0,3}")
_LARGEST = 1 << 18  # bytes; the largest zone has about 4 KiB
_FOOTER = re.compile(rb"\n[^\n]*\n\Z")


def system_zone() -> str:
    """Return the IANA key of the system's zone, unchecked.

    Use TZ, otherwise the target of /etc/localtime, otherwise UTC. TZ may also be a path,
    such as `:/etc/localtime` (tzset(3)).
    """
    given = os.environ.get("TZ", "").removeprefix(":")
    is_path = given.startswith("/") or not given
    parts = PurePath(real_path(given or _LOCALTIME)).parts if is_path else ()
    if "zoneinfo" in parts:
        return "/".join(parts[parts.index("zoneinfo") + 1 :])
    return given or "UTC"


def read_zone(key: str) -> bytes | None:
    """Return the zone data of an IANA key, from the file that zoneinfo would use.

    That is a file in PYTHONTZPATH or the system's folders, otherwise in tzdata. Return
    None if there is none, or if the file is incomplete at the moment.
    """
    if not _KEY.fullmatch(key):
        return None
    for folder in zoneinfo.TZPATH:
        if is_file(path := f"{folder}/{key}"):
            return _whole(path)
    # Imported late: most systems have the data themselves.
    from importlib.resources import files

    return _whole(f"{files('tzdata')}/zoneinfo/{key}")


def _whole(path: str) -> bytes | None:
    try:
        raw = read_regular(path, at_most=_LARGEST)
    except OSError:
        return None
    has_no_footer = raw[4:5] == b"\0"  # version 1 (RFC 8536, section 3.1)
    return raw if raw.startswith(b"TZif") and (has_no_footer or _FOOTER.search(raw)) else None
