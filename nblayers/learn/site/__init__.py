"""The course as a site: lessons, layers, formulas and kernels as pages that link each other, to be read offline from a folder.

`build` (in `builder`) makes it. Each kind of page has a module, which writes Markdown for Sphinx and MyST-NB: `lessons` (what
they print and draw comes from `outputs`), `reference` with `docstrings`, `formulas`, `sources`, `gallery`, `glossary`.
"""
