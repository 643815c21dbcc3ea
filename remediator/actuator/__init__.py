"""The only process that commands devices, one a lane: takes one intent, sends at most one request, tells what it saw.

It checks for itself, right before the act, what must hold whoever asks: lockouts, the stop switch, the leadership's
epoch, the deadline, the asset's lock. It remembers every intent on disk before it sends, so that no restart and no
repetition makes a second send.

Never: a second send of one intent, an act on a locked-out asset, an end of the process between a send and its
read-back, a write credential anywhere else, a decision about what should be done.
"""
