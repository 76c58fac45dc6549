"""The runner itself: one thread that reads, decides, commits, spawns, reaps and writes,
and owns all state.
"""
