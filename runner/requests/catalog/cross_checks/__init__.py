"""Errors that exist only between documents: names, references, groups, cycles."""
