"""BMCs over RMCP+ (IPMI 2.0): sessions, chassis, sensors, event log and power reading, with a codec of their own.

They must never share a codec with the product, run a command twice for one sequence number, or run what they do not write down.
"""
