"""The layers of document 001, section 14: the same numbers in another shape, fewer of them, or more."""
