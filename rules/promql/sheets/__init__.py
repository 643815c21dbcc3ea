"""Expressions of one form over metrics that lie alike, evaluated as one: two dimensions where a rule alone has one.

Forty rules that differ in their metric and their number cost forty times the fixed price of numpy's calls and Python's,
and little arithmetic. A sheet has one line a rule over the same label sets; each kind of node here does to all lines
what its counterpart in `rules.promql` does to one vector, with the same operations on the same operands, so that values
are the same to the last bit. What has no counterpart is evaluated rule by rule and laid side by side. Wherever lines
turn out not to be alike a node says None, and every rule is evaluated alone.
"""
