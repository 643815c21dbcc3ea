"""What is wrong, said as alerts: PromQL compiled to array arithmetic over the live window, alert states, the catalogue.

`window` holds the newest samples as numpy rings, `promql` compiles expressions to plans over it, `files` reads Prometheus
rule files, `alerts` is the pure state machine from results to transitions, `templates` writes their annotations, `service`
joins all that to the bus, and `catalogue` holds the shipped rules. `testing` runs promtool's unit tests and `explain` says why
a rule fires or does not. Other rooms use `rules.query` and `rules.engine`; the console, whose window answers questions, also
`rules.promql.asking`, `rules.holdings`, `rules.explain` and the rule sets of `rules.files`.

This room never acts on anything, never asks a device, never reads a clock in its judgement (evaluation time is an
argument), and never differs from Prometheus in what an expression means: every difference is a bug.
"""
