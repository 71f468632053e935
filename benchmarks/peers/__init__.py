"""Peers against this package: the same tables, fresh processes, one after another in one run."""
