"""The small daemon on a node: what the machine alone knows, and the two things only it can do gently.

It follows the kernel log for GPU errors, beats every two seconds, reads and caps GPU power, and asks a job's hook for a
checkpoint. It answers over HTTPS with a token and keeps what it saw until it was read. It must never decide anything:
no rule, no threshold, no restart of anything by itself. It never powers the node, never runs a command that its own
configuration does not name, and never lets a hanging GPU tool stop the heartbeat.
"""
