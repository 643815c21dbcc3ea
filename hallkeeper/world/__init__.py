"""A whole hall in one process and in virtual time: the product's own services on clocks, disks, a bus and devices that obey a seed.

The devices' truth is the simulator's plant. What runs in front of it is the product itself: the rule service, the remediator
with its ledger on a real SQLite file, the actuator with its journal and locks. Processes can be killed, stopped and started,
messages lost, doubled and late; a checker that reads the ledger, the actuator's journal and the devices' own log says which
promise was broken. The same seed gives the same bytes.

Never: a real socket, the machine's clock, a random number that does not come from the seed, a judgement about a device in
place of the product's own.
"""
