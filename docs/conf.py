"""How the documentation is built: ``sphinx-build --fail-on-warning docs site``."""

from __future__ import annotations

from importlib.metadata import version as version_of

project = "rxllm"
author = "The rxllm developers"
version = release = version_of("rxllm")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["conf.py"]
html_theme = "furo"
html_title = f"rxllm {release}"
html_show_copyright = False
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

myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
