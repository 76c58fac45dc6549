"""Python runs this at the start of each program of a `listening` environment."""

from support.marked_points import listen

listen()
