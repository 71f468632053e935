"""What priors that speak of spend say of channels that have none."""

import numpy as np
import numpyro.distributions as dist

from mmm_jax.data.geo_panel import AnyPanel
from mmm_jax.model.priors import SpendShare


def resolved_share(prior: SpendShare, training: AnyPanel) -> dist.HalfNormal:
    """The rule's distribution over the training rows' spend; an organic channel counts as the mean of those with spend."""
    spend = training.spend.reshape(len(training.channels), -1)
    if not training.organic:
        return prior.resolve(spend)
    paid = ~np.isin(training.channels, training.organic)
    scales = np.full(len(paid), prior.scale / len(paid))
    if paid.any():
        known = np.asarray(prior.resolve(spend[paid]).scale)
        scales[paid], scales[~paid] = known, known.mean()
    return dist.HalfNormal(scales)
