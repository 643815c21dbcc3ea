"""Recordings: telemetry as Parquet that replay reads back exactly, and that DuckDB and Polars read as it is.

A recording is a folder: `manifest.json` (versions, hashes, the index by time and zone), `site.yaml` (the inventory of that
time), and a file a minute of bus time in `frames/`, `layouts/` and `records/`. It never judges what it keeps.
"""
