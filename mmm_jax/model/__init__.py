"""What is believed: components, priors, likelihoods, and the one equation of the mean."""
