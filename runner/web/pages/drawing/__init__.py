"""Pictures as SVG: timeline, strips, durations, waterfalls. Pure.

Geometry is in attributes and colours in classes: the page's security policy forbids style
attributes.
"""
