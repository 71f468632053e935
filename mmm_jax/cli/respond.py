"""`mmm-jax respond`: who will respond to a campaign, and whom to contact."""

import inspect
from pathlib import Path
from typing import Annotated, Any

import typer

from mmm_jax.cli.options import Json, Key, Overwrite, check_new_file, check_new_folder
from mmm_jax.errors import RemarketingError

Table = Annotated[Path, typer.Option("--data", help="Table with one row per customer, as CSV in UTF-8.", metavar="CSV")]
Join = Annotated[
    list[Path] | None,
    typer.Option("--join", help="Another such table, merged on --customer; may be repeated.", metavar="CSV"),
]
Model = Annotated[Path, typer.Option("--model", help="Folder that `mmm-jax respond fit` wrote.", metavar="DIR")]
Prob = Annotated[float, typer.Option("--prob", help="Probability of the intervals.", metavar="P")]
Plots = Annotated[Path | None, typer.Option("--plots", help="Folder for pictures.", metavar="DIR")]

EXAMPLE = """\b
Example:
  mmm-jax respond fit --data customers.csv --join purchases.csv \\
          --label Response --customer ID --leaks NextCampaign \\
          --out model
  mmm-jax respond score --model model --data next.csv --out scores.csv
  mmm-jax respond audience --model model --data next.csv --margin 11 \\
          --cost 3 --contacts 500 --holdout 0.1 --out audience.csv
"""

HELP = f"""Find out who will respond to a campaign, and whom to contact.

Needs the extra: pip install 'mmm-jax[remarketing]'. Response is not uplift: who responds well may have bought anyway. A
holdout group shows what a campaign adds.

{EXAMPLE}"""

app = typer.Typer(no_args_is_help=True, help=HELP, rich_markup_mode=None)


def fit(
    data: Table,
    label: Annotated[str, typer.Option("--label", help="Column of the response: two values.", metavar="COLUMN")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the model and what was found.", metavar="DIR")],
    join: Join = None,
    customer: Annotated[
        str | None, typer.Option("--customer", help="Column of the customers' ids.", metavar="COLUMN")
    ] = None,
    leaks: Annotated[
        list[str] | None,
        typer.Option("--leaks", help="Column not known when the campaign is sent; may be repeated.", metavar="COLUMN"),
    ] = None,
    treatment: Annotated[
        str | None,
        typer.Option("--treatment", help="Column of 1 for contacted and 0, at random: for uplift.", metavar="COLUMN"),
    ] = None,
    segment: Annotated[
        str | None, typer.Option("--segment", help="Column of segments, to be pooled partially.", metavar="COLUMN")
    ] = None,
    nonzero: Annotated[
        float | None,
        typer.Option("--nonzero", help="About how many of many columns matter (horseshoe prior).", metavar="N"),
    ] = None,
    test: Annotated[
        float, typer.Option("--test", help="Share of the rows that the model is judged by; 0 for none.", metavar="SHARE")
    ] = 0.3,
    prob: Prob = 0.9,
    key: Key = 0,
    overwrite: Overwrite = False,
    no_plots: Annotated[bool, typer.Option("--no-plots", help="Draw no pictures.")] = False,
    json: Json = False,
) -> None:
    """Learn from customers who responded and who did not, and judge the model by rows that it has not seen.

    Writes the model, scores beside scikit-learn's logistic regression and a guess, odds ratios, and pictures.
    """
    from mmm_jax.cli.screen import Screen, write_json

    respond_fit, respond_report, respond_work = _modules()
    screen = Screen(json)
    check_new_folder(out, holds=respond_work.MODEL_FILE, overwrite=overwrite)
    asked = respond_fit.Asked(label, customer, treatment, tuple(leaks or ()), segment, nonzero, test, prob, key)
    table = respond_work.read_customers(data, join or [], customer)
    found = respond_fit.fit_and_judge(table, asked, screen)
    written = respond_fit.save_fit(found, out, prob, screen, plots=not no_plots)
    written.append(out / respond_work.SUMMARY_FILE)
    result = respond_report.fit_as_json(found, written)
    write_json(out / respond_work.SUMMARY_FILE, result)
    respond_report.show_fit(screen, found, written)
    screen.finish(result)


def score(
    model: Model,
    data: Table,
    out: Annotated[Path, typer.Option("--out", help="File for the probabilities.", metavar="CSV")],
    join: Join = None,
    prob: Prob = 0.9,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Write every customer's probability of a response; where the label is known, say how good they are."""
    from mmm_jax.cli.screen import Screen

    _, respond_report, respond_work = _modules()
    screen = Screen(json)
    check_new_file(out, overwrite=overwrite)
    loaded = respond_work.load(model)
    table = respond_work.read_customers(data, join or [], loaded.customer)
    draws, control = loaded.probabilities(table)
    listed = respond_work.scored(loaded, table, draws, control, prob)
    listed.to_csv(out, index=False, float_format="%.6g")
    screen.finish(respond_report.show_scored(screen, listed, loaded.scores(table, draws, prob), out))


def audience(
    model: Model,
    data: Table,
    margin: Annotated[
        str, typer.Option("--margin", help="Profit of a response before the contact's cost: a number or a column.")
    ],
    cost: Annotated[str, typer.Option("--cost", help="Cost of a contact: a number or a column.")],
    out: Annotated[Path, typer.Option("--out", help="File for the list.", metavar="CSV")],
    join: Join = None,
    budget: Annotated[float | None, typer.Option("--budget", help="Money for contacts.", metavar="X")] = None,
    contacts: Annotated[int | None, typer.Option("--contacts", help="Or how many there may be.", metavar="N")] = None,
    holdout: Annotated[
        float, typer.Option("--holdout", help="Of the chosen, left alone at random: a share, or a number.", metavar="X")
    ] = 0.0,
    base_rate: Annotated[
        float | None,
        typer.Option("--base-rate", help="Or large enough for --lift on this share without contact.", metavar="SHARE"),
    ] = None,
    lift: Annotated[
        float | None, typer.Option("--lift", help="Difference of the shares that is to be found.", metavar="SHARE")
    ] = None,
    everybody: Annotated[bool, typer.Option("--everybody", help="List those who are not chosen, too.")] = False,
    prob: Prob = 0.9,
    key: Key = 0,
    plots: Plots = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Choose whom to contact by expected profit, and say what may come of it.

    Response is not uplift: the profit is that of all responses, of which some would have come anyway, unless the model was
    fitted with --treatment. Keep the list: the holdout's responses show what the campaign added.
    """
    from mmm_jax.cli.screen import Screen

    _, respond_report, respond_work = _modules()
    screen = Screen(json)
    check_new_file(out, overwrite=overwrite)
    if (base_rate is None) != (lift is None):
        raise typer.BadParameter("give --base-rate and --lift together.", param_hint="'--base-rate'")
    if lift is not None and holdout:
        raise typer.BadParameter("give --holdout, or --base-rate and --lift.", param_hint="'--holdout'")
    loaded = respond_work.load(model)
    table = respond_work.read_customers(data, join or [], loaded.customer)
    limits = {"budget": budget, "contacts": contacts, "prob": prob, "key": key}
    design = None if lift is None or base_rate is None else (base_rate, lift)
    found = respond_work.chosen(loaded, table, margin, cost, holdout=holdout, design=design, limits=limits)
    found.to_csv(out, everybody=everybody)
    screen.finish(respond_report.show_audience(screen, found, out, plots))


def _modules() -> tuple[Any, Any, Any]:
    """What does the work, if scikit-learn is there."""
    try:
        from mmm_jax.cli import respond_fit, respond_report, respond_work
    except ImportError as error:
        raise RemarketingError(str(error)) from error
    return respond_fit, respond_report, respond_work


for command in (fit, score, audience):
    app.command(help=inspect.getdoc(command))(command)
