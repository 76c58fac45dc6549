"""Importing: other schedulers' files as process requests, with a report of what could
not be carried over. Pure.
"""
