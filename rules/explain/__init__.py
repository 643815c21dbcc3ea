"""Why a rule fires for a target, or does not: every subexpression's value at a time, and what dropped it.

`explain` is the whole answer, `steps` takes an expression apart, `absence` says why a selector finds nothing, `target` says
what an operator means by a name, `text` writes trees as PromQL and `render` the answer for a terminal. Nothing here asks
a device or a clock: the window and the time are arguments.
"""
