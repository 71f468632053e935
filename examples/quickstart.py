"""From a table to a budget plan, on a synthetic market whose truth is known.

Run it with `python examples/quickstart.py`; it takes about half a minute on two cores.
"""

import mmm_jax as mj

# A table as an analyst has it: one row per week, a column per channel, controls, sales.
market = mj.synthetic.make_market()
table = market.panel.to_frame().reset_index()

panel = mj.Panel.from_frame(
    table, date="date", target="sales", channels=market.panel.channels, controls=market.panel.control_names
)
print(panel.describe().round(2))
train, test = panel.split("2018-02-01")

# What is believed before the data are seen.
spec = mj.ModelSpec(
    adstock=mj.GeometricAdstock(l_max=6),
    saturation=mj.LogisticSaturation(),
    yearly_seasonality=2,
    likelihood=mj.TruncatedNormal(),
    priors={"saturation_beta": mj.SpendShare(2.0)},
)

fit = mj.fit(train, spec, key=0)
print(fit)

# What each channel brought per unit of currency, with 90 % intervals, beside the truth.
returns = mj.interval(fit.roas(), prob=0.9).to_dataframe()
print(returns.assign(true=market.truth.roas).round(1))

# The 26 weeks that the fit has not seen.
forecast = fit.predict(test, key=1)
print({name: round(score, 3) for name, score in mj.score_table(test.target, forecast).items()})

# The same total as in these weeks, spent better: each channel within half and one and a half of what it had.
today = dict(zip(test.channels, test.spend.sum(axis=1), strict=True))
plan = mj.optimize_budget(
    fit,
    horizon=test.dates,
    total=sum(today.values()),
    bounds={channel: (0.5 * spend, 1.5 * spend) for channel, spend in today.items()},
)
print(plan)
print(plan.to_frame()[["spend", "state", "marginal_return"]].round(2))
print(f"Better than today's split with probability {plan.compare(today).probability_better:.0%}")
