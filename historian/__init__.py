"""What is kept: long-term stores and recordings for replay, fed from the bus.

It holds no service yet (see docs/backlog.md); the bus keeps frames for 24 hours. This room must never judge, act, or slow down what it records.
"""
