"""Builds a runner: opens what it owns, takes over what the former one left, wires the parts."""
