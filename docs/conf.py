"""Sphinx configuration. Build with ``python -m sphinx -W docs docs/_build``."""

import sys
from pathlib import Path

from signopt import __version__

sys.path.insert(0, str(Path(__file__).parent / "_extensions"))

project = "signopt"
author = "The signopt developers"
html_show_copyright = False
release = __version__
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["signopt.css"]
html_title = f"signopt {release}"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "mathml", "command_line"]
html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
exclude_patterns = ["_build", "ports/js/node_modules", "ports/rust/target", "**/README.md"]
