"""Is the model still right: what was decided, what was predicted, what happened."""
