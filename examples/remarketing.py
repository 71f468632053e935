"""From raw tables of customers to a list of whom to contact, and from its holdout to the marketing mix.

On synthetic customers whose truth is known; and on the public table of 2,240 customers, where `MMM_JAX_DATA` names the
folder that holds `marketing_campaign.csv`. Run it with `python examples/remarketing.py`; it takes less than a minute on two
cores.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline

from mmm_jax import remarketing as rm
from mmm_jax.remarketing.two_models import probabilities_of

MARGIN, COST = 11.0, 3.0
"""Of a response, and of a contact."""

COLUMNS = {"label": "Response", "customer": "ID", "leaks": ["Z_Revenue", "Z_CostContact"]}


def judged(table: pd.DataFrame, name: str) -> tuple[rm.ResponseModel, pd.DataFrame, np.ndarray]:
    """Fit to seven customers of ten, and judge by the others: the model, these customers, and draws of theirs."""
    y = table["Response"].to_numpy()
    train, test = rm.stratified_split(y, test_share=0.3, key=0)
    preparation = rm.Preparation(**COLUMNS)
    seen = preparation.fit(table.iloc[train], table["Response"].iloc[train]).transform(table.iloc[train])
    unseen = preparation.transform(table.iloc[test])
    model = rm.ResponseModel(key=0).fit(seen, y[train])
    p = model.probabilities(unseen)
    others = {
        "logistic": rm.tuned_logistic_regression(seen, y[train], unseen),
        "guess": rm.majority_guess(y[train], len(test)),
    }
    print(f"\n{name}: {len(train)} customers to learn from, {len(test)} to judge by")
    print(rm.compare_responses({"ours": p, **others}, y[test]).round(3).to_string())
    print(model.odds_ratios(units=preparation.units_)[["per_sd", "per_sd_lower", "per_sd_upper"]].round(2).head(6))
    return model, table.iloc[test], p


def chosen(customers: pd.DataFrame, p: np.ndarray) -> rm.Audience:
    """Whom to contact, with a part held out at random, and what came of it."""
    audience = rm.choose_audience(p, margin=MARGIN, cost=COST, ids=customers["ID"].to_numpy(), holdout=0.15, key=1)
    print(audience)
    told = ["contacts", "expected_profit", "lower", "upper", "loss"]
    print(audience.table[told].iloc[::8].round(2).to_string(index=False))
    came = MARGIN * customers["Response"].to_numpy() - COST
    print(f"What these contacts brought: {came[audience.group == 'contact'].sum():.0f}")
    return audience


# Three tables of the same customers, as they come from three systems, are merged with every customer checked.
raw = rm.make_customers(seed=0).tables
others = {name: raw[name] for name in ("purchases", "campaigns")}
customers = rm.merge_tables(raw["customers"], others, on="ID")
_, held_out, draws = judged(customers, "Synthetic customers")
audience = chosen(held_out, draws)
print(audience.to_frame().head())

# Who responds is not who is moved: where contact was random, two models tell them apart.
trial = rm.make_customers(seed=1, customers=6000, treated_share=0.5)
table, half = trial.table, np.arange(6000) < 3000
options = {**COLUMNS, "leaks": [*COLUMNS["leaks"], "Treated"]}
pipeline = make_pipeline(rm.Preparation(**options), rm.ResponseModel(num_chains=2, key=0))
both = rm.fit_two_models(pipeline, table[half], table["Response"][half], table["Treated"][half])
uplift = both.uplift(table[~half])
print(f"\nUplift, whose true average is {trial.truth.uplift[~half].mean():+.4f}:", uplift)
response, treated = table["Response"][~half], table["Treated"][~half]
by_response = probabilities_of(both.treated, table[~half])
for name, scores in {"uplift": uplift.draws, "response": by_response}.items():
    first = np.argsort(-scores.mean(axis=0))[:600]
    added = trial.truth.uplift[~half][first].sum()
    print(f"By {name}: {rm.uplift_curve(scores, response, treated)}")
    print(f"  The first 600 bring {added:.0f} more responses in truth.")

# After a larger mailing, so many of the contacts bought, and so many of those left alone: a lift test for the mix.
row = rm.campaign_lift(
    channel="email", start="2024-03-03", end="2024-03-24", contacts=18_000, responses=1_530, holdout=2_000,
    holdout_responses=110, value=30.0, cost=2_700.0, periods=4,
)  # fmt: skip
print("\nAs a lift test, the way back to no campaign:")
print(row.to_string(index=False))

folder = os.environ.get("MMM_JAX_DATA")
if folder and (Path(folder) / "marketing_campaign.csv").is_file():
    _, held_out, draws = judged(rm.load_marketing_campaign(), "The public table")
    chosen(held_out, draws)
