"""A program: spawn N times /bin/true as fast as posix_spawn can, wait for all, print starts and ends a second.

What no scheduler can beat on this machine in one Python thread: nothing is decided, written or captured.
"""

import os
import sys
import time


def main(count: int) -> None:
    environment = dict(os.environ)
    begun_s = time.perf_counter()
    children = [os.posix_spawn("/bin/true", ["/bin/true"], environment) for _ in range(count)]
    for child in children:
        os.waitpid(child, 0)
    print(count / (time.perf_counter() - begun_s))


if __name__ == "__main__":
    main(int(sys.argv[1]))
