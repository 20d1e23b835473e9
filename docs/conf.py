"""The site of the documents: ``python -m sphinx -W --keep-going docs build/docs``.

Pages are Markdown that a code host shows as well. What is computed in the build are the figures, by the scripts in
figures/; the code in the pages runs in the tests, and measured figures come from files in the repository. No network
is needed, neither to build the site nor to read it: it comes with the MathJax that sets its formulas.
"""

from importlib import import_module

from sphinx.util.logging import getLogger

import steelfast

project = "steelfast"
author = "The steelfast developers"
copyright = "the steelfast developers"
version = release = steelfast.__version__

extensions = [
    "matplotlib.sphinxext.plot_directive",
    "myst_parser",
    "numpydoc",
    "sphinx-mathjax-offline",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
]

# ---- pages

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

# ---- reference

nitpicky = True
default_role = "py:obj"
# a bare word in backquotes is an argument more often than a name of ours; a name with a dot must be found
nitpick_ignore_regex = [("py:obj", r"\w+(\[.*\])?")]
add_module_names = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints = "none"  # the docstrings say more
numpydoc_show_class_members = False

# all that is public, and where it is described
PUBLIC_MODULES = ["", ".datasets", ".experiments", ".optimizers", ".plotting", ".schedules", ".textbook"]

# ---- figures

plot_formats = [("svg", 72)]
plot_html_show_formats = False
plot_html_show_source_link = False
plot_include_source = False
plot_apply_rcparams = True
plot_rcparams = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.figsize": (6.4, 3.2),
    "legend.frameon": False,
    "savefig.facecolor": "white",
}

# ---- site

html_theme = "furo"
html_title = f"steelfast {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
copybutton_exclude = ".linenos, .gp, .go"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#0072b2"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
}


def say_language(app, pagename, templatename, context, doctree):
    """The pages in ko/ are Korean, to browsers and screen readers too."""
    if pagename.startswith("ko/"):
        context["language"] = "ko"


def skip_generated(app, what, name, member, skip, options):
    """scikit-learn makes ``set_fit_request`` and the like; they have no docstring of ours."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def miss_nothing(app, env):
    """Every public name has its place in the reference."""
    described = env.get_domain("py").objects
    for module in PUBLIC_MODULES:
        for name in getattr(import_module(f"steelfast{module}"), "__all__", ()):
            if not {f"steelfast{module}.{name}", f"steelfast.{name}"} & {*described, "steelfast.__version__"}:
                getLogger(__name__).warning("steelfast%s.%s is not in the reference", module, name)


def setup(app):
    app.connect("html-page-context", say_language)
    app.connect("autodoc-skip-member", skip_generated)
    app.connect("env-check-consistency", miss_nothing)
