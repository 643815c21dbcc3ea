"""Prometheus rule files, unchanged, and the sidecars beside them: read strictly, every mistake with file, line and column.

Nothing of a set with a mistake is used; reading evaluates nothing.
"""
