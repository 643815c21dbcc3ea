"""Playbooks for people: explained for a target, and run in virtual time against a site in memory that obeys.

Never: a device, a bus, a judgement of its own; gates, course, ledger and proofs are the product's.
"""
