"""How draws are made, from any log density on a flat vector. No word of marketing in here."""
