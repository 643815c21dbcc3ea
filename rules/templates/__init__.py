"""Annotation templates: Go's text/template with Prometheus's functions, as rule files use them.

`Template.parse` refuses what is not covered, with the position; `expand` never fails: like Prometheus, it writes the error
into the text. Nothing here looks anything up by itself: a template sees an alert's labels and value, and what it is handed
as `Surroundings`.
"""

from rules.templates.evaluate import Template
from rules.templates.surroundings import QueriedSample, QueryFailed, Surroundings
from rules.templates.tree import TemplateError

__all__ = ["QueriedSample", "QueryFailed", "Surroundings", "Template", "TemplateError"]
