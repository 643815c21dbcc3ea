"""Annotation templates: the part of Go's text/template and of Prometheus's functions that rule files use.

`Template.parse` refuses what is not covered, with the position; `expand` never fails: like Prometheus, it writes the error
into the text. Nothing here looks anything up: a template sees an alert's labels and value, no more.
"""

from rules.templates.evaluate import Template
from rules.templates.parser import TemplateError
from rules.templates.surroundings import QueriedSample, QueryFailed, Surroundings

__all__ = ["QueriedSample", "QueryFailed", "Surroundings", "Template", "TemplateError"]
