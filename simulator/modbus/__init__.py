"""Modbus TCP servers of the battery, the CDUs and the generator strings; a few set points of the first two can be written.

They must never carry out what their map does not name, and always write down what was asked.
"""
