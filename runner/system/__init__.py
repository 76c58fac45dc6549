"""The operating system and its traps.

Files of any kind, calls that may hang, early signals, lack of memory, and trust.
"""
