"""What travels: frames, events, topics, signatures, and the log that carries them behind one port.

Two adapters keep the same promises (`tests/contract/bus`): the embedded log in one SQLite file, and Apache Kafka with a
durable spool in front of it. Delivery is at least once, in order per key; every record has an identity, and every
consumer drops what it has seen.

This room never judges what it carries, never imports another room but `fleet`, never loses what it has accepted, and
never lets a Kafka client appear anywhere but in `bus/kafka.py`.
"""
