"""The default zone and the zone data as the store keeps them. Pure.

Commands read them, so this module imports little.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from functools import lru_cache

from runner.timing.zones import zone_data_in_use

ZONE, _DATA = "zone", "zone_data"


def meta_of_zones(zone: str) -> dict[str, str]:
    """Return what the store keeps of the default zone and the zone data."""
    return {
        ZONE: zone,
        _DATA: json.dumps({key: _text(raw) for key, raw in zone_data_in_use().items()}),
    }


@lru_cache(maxsize=1024)
def _text(raw: bytes) -> str:
    return base64.b64encode(zlib.compress(raw)).decode()


def zone_data_of(meta: Mapping[str, str]) -> dict[str, bytes]:
    """Return the zone data that the store keeps; unreadable data counts as none."""
    try:
        kept = json.loads(meta.get(_DATA, "{}"))
        return {key: zlib.decompress(base64.b64decode(text)) for key, text in kept.items()}
    except (ValueError, TypeError, AttributeError, zlib.error):
        return {}
