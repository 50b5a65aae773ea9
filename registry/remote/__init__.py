"""Hands that reach out: other people's servers.

egress    the one client for all that goes out, and the guard of where it may go
issuers   keys of OpenID Connect issuers

May import words; never records, storage or a room.
"""
