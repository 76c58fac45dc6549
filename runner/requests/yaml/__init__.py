"""From the bytes of a file to plain data with positions, within limits, and its errors
in words. Pure.
"""
