"""Look-backs over fifteen minutes: what a window keeps of a series beyond its raw samples, in buckets of equal length.

`keep` holds the buckets, `serve` answers the functions that they can answer. This room never serves a function whose result
would differ by more than the edges of its buckets: `rules check` says then to record the expression first.
"""
