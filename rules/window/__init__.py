"""The live window: the newest samples of every series that a rule reads, as rings of numpy rows.

Samples of one metric lie in adjacent columns of an arena `[slot][row]`, so that reading a metric's newest values is one
contiguous slice; a frame is appended with one scatter an arena. Timestamps belong to streams (series that always arrive
together), never to single samples. A state byte a sample says good, stale, absent or the quality it came with.

Nothing here reads a clock, evaluates anything, or keeps a metric that nobody asked for.
"""
