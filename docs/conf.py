"""Settings of the documentation; `make docs` builds it into build/docs and checks its links."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from pointseg import __version__  # noqa: E402

project = "pointseg"
copyright = "the authors of pointseg, Apache-2.0"
version = release = __version__
html_title = f"pointseg {__version__}"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "reference_pages"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
# Quotation marks in sentences are often those of a command.
smartquotes = False
# An anchor for every heading, so that a link to one that is gone is a warning, and a warning an error.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

# The docstrings give types where they say more than the signature.
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sourcelink = False
pygments_style = "tango"
pygments_dark_style = "monokai"
