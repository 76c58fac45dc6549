"""Runner: process requests as YAML files, executed on time, each execution a line of
the monitor log.
"""

from datetime import UTC, datetime

__version__ = "0.1.0"

RELEASED = datetime(2026, 11, 29, tzinfo=UTC)
"""When this version was released. A clock that reads an earlier time is certainly wrong."""
