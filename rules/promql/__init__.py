"""PromQL compiled to array arithmetic over the live window, with the meaning of Prometheus 3.x.

`parse` turns text into `tree`, `plan` turns the tree into nodes that know their selectors and caches, and a `Pass`
evaluates nodes at one time. What is not covered is refused by name when an expression is compiled, never guessed.

Nothing here reads a clock or changes the window.
"""
