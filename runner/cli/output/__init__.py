"""The look of results: tables, the console of `start`, problems with their source
lines, and the report formats.
"""
