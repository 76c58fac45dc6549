"""Makes `python -m tests.benchmarks` and `python tests/benchmarks` the same."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.command import main

if __name__ == "__main__":
    main(prog_name="python tests/benchmarks")
