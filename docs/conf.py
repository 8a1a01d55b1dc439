"""How the documentation is built: `python -m sphinx -W --keep-going -b html docs docs/_build` (extra ``docs``), offline.

Pages of the reference are made from the program by `site_pages` before the build reads any page, and the commands of the tutorial
are run. Both are written to ``docs/generated``; delete that folder to make them again.
"""

import sys
from importlib import metadata
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "hypojax"
author = project_copyright = "The hypojax authors"
release = version = metadata.version("hypojax")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "site_pages",
]
exclude_patterns = ["_build", "site_pages", "generated/printed", "generated/store.md", "gallery/*.py", "gallery/*.ipynb"]
default_role = "py:obj"  # docstrings name objects between single backticks

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
highlight_language = "text"  # of blocks that name none
smartquotes = False  # -- begins an option
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autosummary_generate = False
napoleon_google_docstring = False
napoleon_attr_annotations = False  # shapes such as "*label a s r" are no reStructuredText

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "filename_pattern": r"/\d\d_",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "show_memory": False,
    "write_computation_times": False,
    "capture_repr": ("_repr_html_", "__repr__"),
    "reset_modules": (),
    "notebook_extensions": set(),
}

html_theme = "pydata_sphinx_theme"
html_title = "hypojax"
html_context = {"default_mode": "auto"}  # light or dark, as the reader's machine is set
html_sidebars = {"tutorial": [], "glossary": []}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_search_summary = False  # a page that is opened as a file may not fetch other pages
html_theme_options = {
    "logo": {"text": "hypojax"},
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
}
