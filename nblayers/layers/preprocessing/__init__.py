"""Preprocessing layers (document 001, section 10)."""
