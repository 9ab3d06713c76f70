"""Pooling layers (document 001, section 8)."""
