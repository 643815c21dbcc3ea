"""The HTTP API: what the site is, what is wrong, what was done and why; and a live stream of incidents.

It reads the bus and shows it. This room must never decide, never touch a device, and never show stale data as live.
"""
