"""Every step of the case study in its order: `python examples/case_study/run.py [--out FOLDER]`.

Writes the pictures, and `numbers.csv`: our numbers beside those that PyMC-Marketing 1.3.0 gave for the same model
(4 x 4000 draws). The data is fetched once, or read from the folder that `MMM_JAX_DATA` names.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
import yaml

import mmm_jax as mj
from mmm_jax import plots
from mmm_jax.plots.save import save_picture

HERE = Path(__file__).parent

# Posterior means and scores of the reference run.
REFERENCE = {
    "ROAS Direct Mail": 8.566,
    "ROAS Insert": 53.046,
    "ROAS Newspaper": 14.436,
    "ROAS Online Display": 52.038,
    "ROAS Radio": 32.960,
    "ROAS Social Media": 28.184,
    "ROAS TV": 45.660,
    "share Direct Mail": 0.1616,
    "share Insert": 0.1124,
    "share Newspaper": 0.1050,
    "share Online Display": 0.2545,
    "share Radio": 0.0986,
    "share Social Media": 0.0653,
    "share TV": 0.2025,
    "CRPS train": 1.8058e7,
    "CRPS test": 1.6103e7,
}


def main() -> None:
    """Run all steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/case_study"), help="folder for pictures and numbers")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    config = yaml.safe_load((HERE / "config.yaml").read_text())
    spec = mj.ModelSpec.from_dict(config["model"])

    panel = mj.datasets.load_case_study()
    train, test = panel.split(str(config["data"]["last_training_date"]))
    look_at_the_data(panel, out)
    prior = mj.sample_prior(train, spec, key=0, num_samples=500)["prior_predictive"].to_dataset()
    keep(plots.plot_predictive(prior, train, title="Before the data: prior predictive"), out / "04a_prior_predictive")

    began = time.perf_counter()
    fit = mj.fit(train, spec, **config["sampling"])
    print(f"{fit}\nfitted in {time.perf_counter() - began:.1f} s, compilation included")
    fit.save(out / "fit.zarr", overwrite=True)
    print(fit.summary().round(3).to_string(max_rows=20))

    in_sample, forecast = fit.predict(key=1), fit.predict(test, key=1)
    look_at_the_predictions(fit, in_sample, forecast, train, test, out)
    look_at_the_channels(fit, out)
    plan_the_next_weeks(fit, test, out)
    write_numbers(fit, in_sample, forecast, train, test, out)


def look_at_the_data(panel: mj.Panel, out: Path) -> None:
    """The first look: the target, the spend, and how both go together."""
    print(panel.describe().round(3).to_string())
    keep(plots.plot_target(panel), out / "01_target")
    keep(plots.plot_spend_shares(panel), out / "02_spend_shares")
    keep(plots.plot_spend_against_target(panel), out / "03_spend_against_target")


def look_at_the_predictions(
    fit: mj.Fit, in_sample: xr.Dataset, forecast: xr.Dataset, train: mj.Panel, test: mj.Panel, out: Path
) -> None:
    """Does the model describe what it has seen, and what it has not."""
    keep(plots.plot_predictive(in_sample, train, title="Posterior predictive"), out / "04b_posterior_predictive")
    keep(plots.plot_forecast(in_sample, forecast, train, test), out / "05_forecast")
    keep(plots.plot_residuals(in_sample, train), out / "06_residuals")
    keep(plots.plot_prior_posterior(fit.prior_to_posterior().filter(like="saturation", axis=0)), out / "06b_prior_posterior")


def look_at_the_channels(fit: mj.Fit, out: Path) -> None:
    """What each channel brought, and what more of it would bring."""
    roas, shares = fit.roas(), fit.contribution_shares()
    keep(plots.plot_contributions(fit.contributions(), fit.panel), out / "07_contributions")
    keep(
        plots.plot_waterfall(fit.waterfall(), groups={"Holidays": fit.panel.control_names}, target="sales"),
        out / "08_waterfall",
    )
    keep(plots.plot_contribution_shares(shares), out / "09_contribution_shares")
    keep(plots.plot_roas(roas, target="sales"), out / "10_roas")
    keep(plots.plot_roas(fit.marginal_roas(), target="sales"), out / "10b_marginal_roas")
    keep(plots.plot_share_against_roas(shares, roas, target="sales"), out / "11_share_against_roas")
    keep(plots.plot_response_curves(fit.response_curves(), target="sales"), out / "12_response_curves")
    keep(plots.plot_saturation_curves(fit.saturation_curves(), period="week", target="sales"), out / "13_saturation_curves")


def plan_the_next_weeks(fit: mj.Fit, test: mj.Panel, out: Path) -> None:
    """The test weeks' own total, each channel within +-50 % of its mean weekly spend there."""
    settings = yaml.safe_load((HERE / "plan.yaml").read_text())
    today = settings.pop("reference")
    plan = mj.optimize_budget(fit, **settings)
    print(plan, plan.to_frame().round(3).to_string(), sep="\n")
    print(plan.certificate.outcome.advice, f"KKT residual {plan.certificate.kkt_residual:.1e}.")
    comparison = plan.compare({channel: level * len(test) for channel, level in today.items()})
    print(comparison.to_frame().to_string())
    print(f"better than today's levels with probability {comparison.probability_better:.1%}")
    spent = xr.DataArray(
        test.spend.T, dims=("date", "channel"), coords={"date": plan.spend["date"], "channel": list(test.channels)}
    )
    keep(plots.plot_plan(plan, spent, reference_name="Today"), out / "14_plan")
    keep(plots.plot_improvement(comparison, target="sales"), out / "15_improvement")


def write_numbers(
    fit: mj.Fit, in_sample: xr.Dataset, forecast: xr.Dataset, train: mj.Panel, test: mj.Panel, out: Path
) -> None:
    """Our numbers beside the reference's."""
    over = ("chain", "draw")
    found = {f"ROAS {channel}": float(value) for channel, value in zip(train.channels, fit.roas().mean(over), strict=True)}
    shares = fit.contribution_shares().mean(over)
    found |= {f"share {channel}": float(value) for channel, value in zip(train.channels, shares, strict=True)}
    found["CRPS train"] = float(mj.crps(train.target, in_sample["y"]).mean())
    found["CRPS test"] = float(mj.crps(test.target, forecast["y"]).mean())
    table = pd.DataFrame({"mmm_jax": found, "PyMC-Marketing 1.3.0": REFERENCE})
    table["difference"] = table["mmm_jax"] / table["PyMC-Marketing 1.3.0"] - 1
    table.to_csv(out / "numbers.csv", index_label="quantity")
    print(table.to_string(float_format=lambda value: f"{value:,.4g}"))


def keep(axes: Any, path: Path) -> None:
    """Save a picture as PNG."""
    save_picture(axes, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
