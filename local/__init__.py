"""The local cloud: services, functions, triggers and the command line around them."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - whoever has an older one gets a word instead of a syntax error
    version = ".".join(map(str, sys.version_info[:2]))
    sys.exit("Facet needs Python 3.11 or later, this is " + version + ". next: make up PYTHON=/path/to/python3")
