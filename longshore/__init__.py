"""The composition root: configuration, wiring, the server process and the command line.

Knows every room; no room knows it.
"""
