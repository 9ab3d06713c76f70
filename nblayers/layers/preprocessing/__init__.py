"""Preprocessing layers (document 001, section 10): text, numbers, categories and images into arrays."""
