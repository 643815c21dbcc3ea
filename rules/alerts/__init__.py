"""From an expression's elements to alerts: a pure state machine, one step an evaluation, time as an argument.

inactive → pending → firing → resolved, as Prometheus has it; beyond it, a clear threshold, and a hold over gaps that ends
as unknown. Nothing here reads a window or a clock.
"""
