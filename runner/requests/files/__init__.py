"""The files that a jobs folder refers to, read safely: bytes, dates, variables, trust."""
