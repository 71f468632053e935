"""What the draws say: pure functions of the model and one draw, mapped over all draws by `over_draws`."""
