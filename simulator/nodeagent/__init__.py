"""The node agents: protocol version 1 over HTTPS with bearer tokens, one listener a node.

They must never let a read token change anything, act twice for one intent, or forget to write a request down.
"""
