"""The command line, and the wiring of services into processes.

Here alone are clocks, sockets, the bus and the files made and handed to the rooms (one composition root per process).
This package must never judge: it holds no rule, gate, decoder or state machine, only the order in which things start and stop.
"""

__version__ = "0.1.0"
