"""Speed in CPU-seconds, user and system, of every process of ours that takes part; the load comes from another process.

Each module measures one stage the way the product runs it, counts what arrived by reading it back, and may run a peer on
the same load in the same run. Figures differ by up to 30 % between runs on a shared machine: compare inside one run.
"""
