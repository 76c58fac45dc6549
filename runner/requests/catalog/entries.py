"""The reading of one file of a jobs folder. Reads files."""

from __future__ import annotations

import hashlib
import time
from dataclasses import replace

from runner.requests.catalog.loading import LoadedFile, Place, file_problem, loaded
from runner.requests.catalog.remembered_files import Entry, reads_differ
from runner.requests.files.bounded_read import Trouble, read_bounded, signature_at

_CLOCK_TICK_NS = 100_000_000
"""Nanoseconds. A second change within one tick of the file system's clock leaves the
timestamps the same.
"""


def read_entry(place: Place, known: Entry | None = None) -> Entry:
    """Read a file; reuse the `known` result if its bytes and inputs are unchanged."""
    content, defaults = read_bounded(place.path), place.defaults.digest
    if isinstance(content, Trouble):
        problem = file_problem(place.display, content)
        file = LoadedFile(problems=(problem,), is_whole=True, reads={})
        signature = None if content.may_pass else signature_at(place.path)
        return Entry(signature=signature, digest=b"", file=file, defaults=defaults)
    fresh = content.signature is None or content.signature[-1] > time.time_ns() - _CLOCK_TICK_NS
    digest = hashlib.sha256(content.raw).digest()
    if (
        known
        and (known.digest, known.defaults) == (digest, defaults)
        and not reads_differ(known.file)
    ):
        return replace(known, signature=content.signature, is_fresh=fresh)
    return Entry(
        signature=content.signature,
        digest=digest,
        file=loaded(content, place),
        is_fresh=fresh,
        defaults=defaults,
    )
