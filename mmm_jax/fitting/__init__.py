"""Verbs that join model and inference: fit, sample the prior, save, load."""
