"""The stores: SQLite for one machine, an in-memory one with the same behaviour for tests.

Both pass one conformance suite (`tests/storage/test_conformance.py`).  Only `telcod.app` and the
command line know which is used.
"""
