"""Sphinx's settings; `make docs` builds into docs/_build."""

from __future__ import annotations

import dtopics

project = "dtopics"
author = "The dtopics developers"
release = version = dtopics.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"dtopics {release}"
html_copy_source = False

# Types stand in the docstrings, with shapes and defaults.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autosummary_generate = False
numpydoc_show_class_members = False

default_role = "py:obj"
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
