"""When a rule fires: rules as values, zones, the next fire after an instant. Pure: no
clock is read here.

Instants are aware UTC datetimes; wall time exists only inside this package.
"""
