"""Bayesian marketing-mix models on JAX: from a table of spend and sales to a budget plan."""

from mmm_jax import remarketing
from mmm_jax.analysis.scores import coverage, crps, mape, nrmse, r2, score_table
from mmm_jax.data import datasets, synthetic
from mmm_jax.data.experiments import CostPerTarget, LiftTest, LiftTests
from mmm_jax.data.geo_panel import GeoPanel
from mmm_jax.data.geo_scaling import GeoScales
from mmm_jax.data.panel import Panel
from mmm_jax.data.scaling import Scales
from mmm_jax.errors import (
    ApproximationWarning,
    BatchError,
    ConfigError,
    ConvergenceWarning,
    DatasetError,
    ExperimentError,
    InfeasibleError,
    LedgerError,
    MMMError,
    MonitoringError,
    PanelError,
    PlanError,
    PredictionError,
    PriorWarning,
    RegistryError,
    RemarketingError,
    SamplingError,
    SpecError,
    StoreError,
)
from mmm_jax.fitting.batch_engines import Ray
from mmm_jax.fitting.compilation import use_compilation_cache
from mmm_jax.fitting.fit import fit
from mmm_jax.fitting.fit_batch import Batch, fit_batch
from mmm_jax.fitting.geo_fit import GeoFit
from mmm_jax.fitting.labels import interval
from mmm_jax.fitting.posterior import Fit
from mmm_jax.fitting.prior import sample_prior
from mmm_jax.inference.svi import SVI
from mmm_jax.model.components import (
    BinomialAdstock,
    DelayedAdstock,
    GeometricAdstock,
    HillSaturation,
    LogisticSaturation,
    MichaelisMentenSaturation,
    NoAdstock,
    NoSaturation,
    RootSaturation,
    TanhSaturation,
    WeibullCDFAdstock,
    WeibullPDFAdstock,
)
from mmm_jax.model.events import Event, Holidays, SpecialCause
from mmm_jax.model.gaussian_process import GaussianProcessMultiplier, GaussianProcessTrend
from mmm_jax.model.groups import MediaGroup
from mmm_jax.model.horseshoe import RegularizedHorseshoe
from mmm_jax.model.likelihoods import LogNormal, NegativeBinomial, Normal, StudentT, TruncatedNormal
from mmm_jax.model.priors import SpendShare, gamma_from_moments, lognormal_from_interval
from mmm_jax.model.spec import ModelSpec
from mmm_jax.model.trends import KnotTrend, LinearTrend, PiecewiseTrend
from mmm_jax.monitoring.challenge import Challenge
from mmm_jax.monitoring.drift import Drift, detect_drift
from mmm_jax.monitoring.ledger import Ledger
from mmm_jax.monitoring.registry import Registry
from mmm_jax.monitoring.retrain import Retraining, retrain
from mmm_jax.monitoring.staleness import Staleness, check_staleness
from mmm_jax.planning.allocation import Allocation, Comparison
from mmm_jax.planning.batch import optimize_budget_batch
from mmm_jax.planning.certificate import Certificate
from mmm_jax.planning.constraints import Box, Group, Ratio, SameAcrossGeos, Step, Total
from mmm_jax.planning.curves import plan_curves
from mmm_jax.planning.frontier import Frontier, budget_frontier, goal_seek
from mmm_jax.planning.objectives import (
    CVaR,
    MeanMinusSd,
    MeanResponse,
    ProbabilityToBeat,
    Profit,
    Quantile,
    Sharpe,
)
from mmm_jax.planning.optimize import optimize_budget
from mmm_jax.planning.prices import Price
from mmm_jax.planning.scenarios import bound_sensitivity, compare_plans
from mmm_jax.planning.targets import RiskFloor, TargetMarginalRoas, TargetOutcome, TargetRoas
from mmm_jax.report.plan_page import write_plan_page
from mmm_jax.validation.calibrate import simulate_calibrate
from mmm_jax.validation.calibration import Calibration
from mmm_jax.validation.comparison import compare_models
from mmm_jax.validation.cross_validation import CrossValidation, cross_validate
from mmm_jax.validation.folds import Fold
