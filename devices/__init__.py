"""How each device speaks: `wire/` has one client a protocol, `profiles/` one file a device family.

This room turns a device's bytes into named numbers in base units, and an order into exactly one command. It never
schedules, never judges, never retries a write, and knows neither bus nor rules. Third-party protocol clients appear
only in `wire/`.
"""
