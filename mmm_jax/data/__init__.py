"""From a table to a validated, labelled, immutable panel and its scales."""
