"""One client a protocol: sockets, sessions and bytes.

A wire maps foreign exceptions to `Unreachable`, `Refused`, `Ambiguous` and `Malformed` in one place and bounds every
wait. It never knows a device family by name; what the numbers mean is said by profiles.
"""
