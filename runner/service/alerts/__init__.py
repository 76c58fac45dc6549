"""Keeps the alerts of a running runner, and decides about them with what causes them."""
