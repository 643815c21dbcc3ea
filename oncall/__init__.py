"""Who is told, how, and when not: incidents become Alertmanager-shaped webhooks and alerts pushed to an Alertmanager.

One incident is one page. What must be told lies in a durable outbox until a receiver took it, or is visibly undeliverable.
This room must never judge a fault, touch a device, or drop a notification silently.
"""
