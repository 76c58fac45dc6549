"""How results look: tables, the console of `start`, problems with their lines, and the
forms of reports.
"""
