"""How the documentation is built: ``sphinx-build --fail-on-warning docs site``."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "rxllm"
author = "The rxllm developers"
version = release = version_of("rxllm")

extensions = [
    "docstrings",
    "marble_pictures",
    "myst_parser",
    "public_names",
    "signatures",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "tables",
]
# What is generated is included by pages, and is none.
exclude_patterns = ["conf.py", "_generated"]
html_theme = "furo"
html_title = f"rxllm {release}"
html_show_copyright = False
html_static_path = ["_static"]
html_css_files = ["rxllm.css"]
# Diagrams and code are copied out of the pages: quotes stay what they are.
smartquotes = False

autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
# Of pydantic, and the same for every model.
autodoc_default_options = {"exclude-members": "model_config"}
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Attributes are documented with their class, as part of its text.
napoleon_use_ivar = True
# A name in the text is a name, however the link to it was made.
add_function_parentheses = False
# The pages are written by hand; the tables in them are not.
autosummary_generate = False

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
