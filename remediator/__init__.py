"""Alerts become incidents, an incident picks its playbook, the gates agree, the ledger remembers, the actuator acts, proof ends it.

Judgement here is pure: incidents, playbooks, gates, planners, proofs and state machines take facts and a time and return
decisions. The shells around them read the bus, the ledger and the clock.

Never: an act without a durable intent, a second send of one intent, an act on silence alone, an outcome on the word of the
instrument that was commanded, a command to a breaker, a valve, a battery contactor, a generator trip or a fire system.
"""
