"""A program of our own, run as a file: it reads request files for another process of ours (`parallel`).

From its standard input, a socket of messages, it takes pickled places, and writes pickled entries. It ends when nobody
sends any more, or wants to know.
"""

from __future__ import annotations

import os
import sys

LONGEST_MESSAGE = 1 << 16


def main() -> None:
    """Read until there is nothing more to read."""
    import gc
    import pickle

    from runner.requests.refreshing import entry_at

    gc.disable()  # it soon ends
    with open(1, "wb") as answers:
        while message := os.read(0, LONGEST_MESSAGE):
            read = [(place.relative, entry_at(place)) for place in pickle.loads(message)]
            pickle.dump(read, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))  # noqa: PTH100, PTH120
    main()
