"""Pure functions of arrays: adstock, saturation, bases. Time is the last axis; imports JAX only."""
