"""Hints: what to write instead of a foreign key or value, if the result would be valid."""
