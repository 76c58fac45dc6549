"""Predict a span of time: fires, starts per minute, overlaps. Pure."""
