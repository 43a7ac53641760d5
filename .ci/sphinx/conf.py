"""The documentation site, as Sphinx builds it; ``.ci/documentation.py`` makes the pages and calls it."""

import os
from pathlib import Path

project = "Saga"
html_title = f"Saga {os.environ['SAGA_VERSION']}"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
# Lexers that Pygments lacks: such blocks are shown without colours.
suppress_warnings = ["misc.highlighting_failure"]

myst_heading_anchors = 4
autodoc_mock_imports = ["click", "urllib3", "yaml"]
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_typehints_format = "short"

html_theme = "furo"
html_favicon = str(Path(__file__).parents[2] / "static" / "saga" / "icon.svg")
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_use_index = False
html_theme_options = {"footer_icons": []}
