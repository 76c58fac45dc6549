"""Compute when a rule fires: rules as values, zones, the next fire after an instant.

Pure: nothing in this package reads a clock. Instants are aware UTC datetimes. Wall time
exists only inside this package.
"""
