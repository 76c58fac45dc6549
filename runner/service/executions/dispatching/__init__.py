"""Carries out the decided executions, and notes what becomes of them."""
