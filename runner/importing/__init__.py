"""Convert other schedulers' files to process requests, and report every difference.
Pure.
"""
