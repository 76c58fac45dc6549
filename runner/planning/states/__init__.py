"""The durable state of a request, and everything that changes it. Pure.

Fires, the request's file, buttons, clock steps and changed zone data change it.
"""
