"""The history index: an index over the monitor log's records that answers a page in milliseconds.

Derived from the log, and disposable: a deleted or damaged index is built again. One
process writes it (`building.keeper`, a child of `runner web`), many read it.
"""
