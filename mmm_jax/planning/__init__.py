"""What to do next: the best plan under its constraints, with its certificate."""
