"""Prometheus's HTTP API over a window of the console's own, so that Grafana and promtool read Hallkeeper as they read Prometheus.

`window` follows the bus, `routes` translates requests, `params` reads what they say, `encode` writes answers and errors,
`queries`, `series` and `listing` answer. Nothing here judges or acts; the rule engine's window is not touched (ADR 006).
"""
