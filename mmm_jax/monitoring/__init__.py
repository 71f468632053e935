"""Is the model still right: do new rows look like its own; what was decided, what was predicted, what happened."""
