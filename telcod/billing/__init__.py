"""The embedded billing core: accounts, entries, tariffs, packages, lists.

`decide_*` functions are pure: what stands in the books and the time go in, a decision comes out.
Beside each stands a short shell that loads, decides and records inside the one open transaction.
"""
