"""From the bytes of a file to plain data with positions, within limits. Pure.

Every error is explained in words.
"""
