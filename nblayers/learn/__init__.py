"""Lessons: reading them (`script`), stepping through them (`session`, `terminal`), checking exercises (`exercises`).

Nothing here is imported by `import nblayers`. Lessons themselves use `nblayers.learn.tools` only.
"""
