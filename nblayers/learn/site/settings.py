"""What Sphinx is told."""
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
MATHJAX = {
    "options": {"enableMenu": False, "ignoreHtmlClass": "yue", "processHtmlClass": "math"},
    "svg": {"fontCache": "global"},
    "tex": {"inlineMath": [["\\(", "\\)"]], "displayMath": [["\\[", "\\]"]]},
}


def settings(version: str) -> dict[str, Any]:
    """The configuration of the site."""
    return {
        "project": "nblayers", "version": version, "release": version, "author": "nblayers", "language": "en",
        "project_copyright": "MIT licence",
        "extensions": ["myst_nb", "sphinx.ext.mathjax", "nblayers.learn.site.extension"],
        "templates_path": [str(HERE / "templates")], "html_static_path": [str(HERE / "static"), "_made"],
        "html_theme": "shibuya", "html_css_files": ["site.css"], "html_js_files": ["site.js"],
        "html_theme_options": {
            "accent_color": "blue", "show_ai_links": False, "toctree_collapse": True, "toctree_maxdepth": 3,
            "nav_links": [{"title": title, "url": url} for title, url in (
                ("Lessons", "lessons/index"), ("Reference", "reference/index"), ("Formulas", "formulas/index"),
                ("Gallery", "gallery"), ("Glossary", "glossary"))]},
        "html_title": "nblayers", "html_copy_source": False, "html_show_sourcelink": False, "html_show_sphinx": False,
        "html_show_search_summary": False,              # it would be read with fetch, which pages from a folder may not
        "html_sidebars": {"**": ["sidebars/localtoc.html"]}, "html_use_index": True, "html_domain_indices": False,
        "pygments_style": "a11y-high-contrast-light", "add_module_names": False,
        "nb_execution_mode": "off", "nb_merge_streams": True, "myst_heading_anchors": 0,
        "myst_enable_extensions": ["dollarmath", "colon_fence", "deflist", "attrs_block", "attrs_inline"],
        "myst_dmath_double_inline": True, "myst_all_links_external": False,
        "mathjax_path": "mathjax/tex-svg.js", "mathjax3_config": MATHJAX, "myst_update_mathjax": False,
        "suppress_warnings": ["config.cache"],
    }
