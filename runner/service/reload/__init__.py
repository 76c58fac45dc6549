"""Reads the jobs folder again when it has changed, and works out what the new catalog changes."""
