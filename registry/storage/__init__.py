"""Bytes: the BlobStore port and its stores. Keys are opaque and never used twice. May import words only."""
