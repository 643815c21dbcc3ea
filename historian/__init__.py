"""What is kept: recordings for replay and for SQL, fed from the bus; other long-term stores will stand beside them.

This room must never judge, act, or slow down what it records.
"""
