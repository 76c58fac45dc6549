"""A program: at the half of each of N seconds spawn /bin/true; print how many seconds late each one was.

The lateness that sleeping and posix_spawn have by themselves on this machine, where nothing is decided or written.
"""

import os
import sys
import time


def main(count: int) -> None:
    environment = dict(os.environ)
    first_s = int(time.time()) + 1.5
    for due_s in (first_s + number for number in range(count)):
        time.sleep(max(0.0, due_s - time.time()))
        child = os.posix_spawn("/bin/true", ["/bin/true"], environment)
        print(time.time() - due_s)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
