"""One matplotlib function per question; each returns the axes it drew on.

Not imported by `import mmm_jax`: write `from mmm_jax import plots`. A function without `ax=` makes a figure of its own,
to be saved by `ax.figure.savefig(...)` and closed by `matplotlib.pyplot.close(ax.figure)`.
"""

from mmm_jax.plots.contributions import plot_contribution_shares, plot_contributions
from mmm_jax.plots.curves import plot_response_curves, plot_saturation_curves
from mmm_jax.plots.data import plot_spend_against_target, plot_spend_shares, plot_target
from mmm_jax.plots.drift import plot_drift
from mmm_jax.plots.experiments import plot_experiments
from mmm_jax.plots.frequency import plot_optimal_frequency
from mmm_jax.plots.frontier import plot_frontier
from mmm_jax.plots.geos import plot_geo_contributions, plot_geo_predictive, plot_geo_roas
from mmm_jax.plots.ledger import plot_ledger
from mmm_jax.plots.parameters import plot_prior_posterior
from mmm_jax.plots.plan import plot_improvement, plot_plan
from mmm_jax.plots.plan_curves import plot_plan_curves
from mmm_jax.plots.plan_dates import plot_plan_by_date
from mmm_jax.plots.predictive import plot_forecast, plot_predictive, plot_residuals
from mmm_jax.plots.response_plots import (
    plot_audience,
    plot_calibration_curve,
    plot_gain,
    plot_odds_ratios,
    plot_precision_recall,
    plot_roc,
    plot_uplift_curve,
)
from mmm_jax.plots.returns import plot_roas, plot_share_against_roas
from mmm_jax.plots.validation import plot_folds, plot_ranks, plot_scores_by_horizon, plot_stability
from mmm_jax.plots.waterfall import plot_waterfall

__all__ = [
    "plot_audience",
    "plot_calibration_curve",
    "plot_contribution_shares",
    "plot_contributions",
    "plot_drift",
    "plot_experiments",
    "plot_folds",
    "plot_forecast",
    "plot_frontier",
    "plot_gain",
    "plot_geo_contributions",
    "plot_geo_predictive",
    "plot_geo_roas",
    "plot_improvement",
    "plot_ledger",
    "plot_odds_ratios",
    "plot_optimal_frequency",
    "plot_plan",
    "plot_plan_by_date",
    "plot_plan_curves",
    "plot_precision_recall",
    "plot_predictive",
    "plot_prior_posterior",
    "plot_ranks",
    "plot_residuals",
    "plot_response_curves",
    "plot_roas",
    "plot_roc",
    "plot_saturation_curves",
    "plot_scores_by_horizon",
    "plot_share_against_roas",
    "plot_spend_against_target",
    "plot_spend_shares",
    "plot_stability",
    "plot_target",
    "plot_uplift_curve",
    "plot_waterfall",
]
