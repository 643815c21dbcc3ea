"""Prometheus pages of GPU exporters and fabric switches, rendered when they are asked for.

They must never keep values between two steps of the plant, or know who reads them.
"""
