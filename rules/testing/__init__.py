"""Unit tests of rules in promtool's format, on our own engine: read, run in virtual time, compared, told.

`document` reads a file, `notation` its series, `stage` feeds an engine, `run` judges, `compare` says what differs, `timeline`
shows how it came to that, `report` prints. Nothing here knows a bus or a clock.
"""
