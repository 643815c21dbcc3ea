"""Asks and listens, and publishes: one service that schedules, one module a kind of source.

A device's answer leaves here as one frame with the inventory's labels and its quality marks. This room never writes to
a device, never evaluates a rule, and never lets one dead device slow its neighbours.
"""
