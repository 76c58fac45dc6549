"""Builds the history index from the monitor log, and keeps it up to date."""
