"""Verbs that ask whether a model can be believed: on rows that it has not seen, and on targets whose truth is known."""
