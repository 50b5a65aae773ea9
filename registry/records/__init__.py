"""Rows: SQLAlchemy Core statements, one module for each aggregate.

Every function takes a `Tx` first and returns values of `registry.model`; none opens a transaction. A unit of work is
a plain function of a `Tx`, given to `Database.write`, `.read` or `.point`. May import words; never storage or a room.
"""
