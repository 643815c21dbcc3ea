"""Grafana dashboards as code, with the JSON they generate, and the provisioning that loads them.

The JSON under `generated/` is committed; a test proves that it equals what the code writes.
This room imports nothing of ours and must never hold a query that the register of metrics does not know.
"""
