"""Modbus TCP servers of the battery and the CDUs: they are read, and never written.

They must never carry a write out, and always write one down.
"""
