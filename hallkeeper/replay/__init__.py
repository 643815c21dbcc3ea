"""Replay: recorded telemetry through rules and playbooks in virtual time, and what came of it.

The judgement is the product's own: the rule engine, the incidents, the gates. Nothing here can reach a device, a scheduler
or a bus: every act is a would-have. Same recording, same rules, same bytes of the report.
"""
