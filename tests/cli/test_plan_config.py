"""A plan's configuration: every key reaches the planner as it stands, and what is wrong is named with its key and line."""

from dataclasses import fields
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from planning.fits import fit_from_prior

import mmm_jax as mj
from mmm_jax.cli import plan_parts
from mmm_jax.cli.plan_parts import CONSTRAINTS, OBJECTIVES, TARGETS
from mmm_jax.cli.plan_schema import plan_schema
from mmm_jax.cli.planning import Problem, read_problem
from mmm_jax.cli.schema_parts import options
from mmm_jax.cli.validation import read_config

FIT = fit_from_prior("logistic")
FIRST, SECOND, THIRD, FOURTH = FIT.panel.channels
EVERY = dict.fromkeys(FIT.panel.channels, 5.0)

FULL = """\
horizon: 4
total: {amount: 900, at_most: true, label: the budget}
per: horizon
bounds: {Insert: [10, 500]}
by: [channel]
profile:
  Direct Mail: [1, 2, 3, 4]
  Insert: [1, 1, 1, 1]
  Newspaper: [0, 0, 1, 1]
  Online Display: [1, 0, 0, 0]
locked: {Newspaper: 100, Online Display: [1, 2, 3, 4]}
prices:
  Direct Mail: {cost: 2.5, rise: 0.5, base: 100}
  Insert: {cost: [1, 2, 3, 4]}
objective: {kind: Profit, margin: 0.5, of: {kind: CVaR, prob: 0.2}}
constraints:
  - {kind: Total, amount: 800, at_most: true}
  - {kind: Box, channels: Insert, lower: 1, upper: 200, dates: [2016-02-14, 2016-02-28]}
  - {kind: Group, channels: [Direct Mail, Insert], lower: 10, per: period, label: together}
  - {kind: Ratio, channels: Direct Mail, of: [Insert], upper: 3}
  - {kind: TargetRoas, at_least: 2, channels: Insert}
  - {kind: TargetMarginalRoas, at_least: 0.5}
  - {kind: TargetOutcome, at_least: 10, probability: 0.8}
  - {kind: RiskFloor, objective: {kind: Quantile, prob: 0.1}, at_least: 5}
num_starts: 3
key: 7
max_draws: 9
split_draws: true
extrapolate: false
reference: {Direct Mail: 400, Insert: [1, 2, 3, 4], Newspaper: 0, Online Display: 8}
scenarios:
  more: {Direct Mail: 500, Insert: 10, Newspaper: [5, 5, 5, 5], Online Display: 0}
frontier: {from: 500, to: 900, steps: 3}
sensitivity: 0.2
"""


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads a configuration from the current folder."""
    monkeypatch.chdir(tmp_path)

    def read(text: str) -> Problem:
        Path("plan.yaml").write_text(text)
        return read_problem(Path("plan.yaml"), FIT)

    return read


def error_of(read, text: str) -> str:
    with pytest.raises(mj.ConfigError) as raised:
        read(text)
    return str(raised.value)


def test_every_key_is_in_the_example():
    text = FULL + "bounds_around_mean: 1\ngoal: {}\n"
    assert all(f"\n{key}:" in f"\n{text}" for key in plan_schema()["properties"])


def test_every_key_reaches_the_planner(read):
    problem = read(FULL)
    given = problem.stated.arguments
    assert given["horizon"].astype(str).tolist() == ["2016-02-14", "2016-02-21", "2016-02-28", "2016-03-06"]
    assert given["total"] == mj.Total(900, at_most=True, label="the budget")
    assert given["bounds"] == {SECOND: (10, 500)}
    assert given["profile"][THIRD] == [0, 0, 1, 1]
    assert given["locked"] == {THIRD: 100, FOURTH: [1, 2, 3, 4]}
    assert given["prices"] == {FIRST: mj.Price(2.5, 0.5, 100), SECOND: mj.Price([1, 2, 3, 4])}
    assert given["objective"] == mj.Profit(0.5, mj.CVaR(0.2))
    assert given["constraints"] == (
        mj.Total(800, at_most=True),
        mj.Box(SECOND, 1, 200, ("2016-02-14", "2016-02-28")),
        mj.Group((FIRST, SECOND), 10, per="period", label="together"),
        mj.Ratio(FIRST, (SECOND,), upper=3),
        mj.TargetRoas(2, SECOND),
        mj.TargetMarginalRoas(0.5),
        mj.TargetOutcome(10, 0.8),
        mj.RiskFloor(mj.Quantile(0.1), 5),
    )
    for name, value in {"num_starts": 3, "key": 7, "max_draws": 9, "split_draws": True, "extrapolate": False}.items():
        assert given[name] == value


def test_spend_to_compare_with_follows_the_profile_or_stands_by_date(read):
    problem = read(FULL)
    for spend, amounts in ((problem.reference, (40, 1, 0, 8)), (problem.scenarios["more"], (50, 2.5, 5, 0))):
        assert spend.dims == ("date", "channel")
        assert spend.isel(date=0).values.tolist() == pytest.approx(amounts)
    assert problem.reference.sel(channel=FIRST).values.tolist() == pytest.approx([40, 80, 120, 160])


def test_amounts_of_a_mean_period_count_for_all_periods(read):
    by_channel = "{Direct Mail: 3, Insert: [1, 2, 3, 4], Newspaper: 0, Online Display: 0}"
    problem = read(f"horizon: 4\ntotal: 100\nper: period\nreference: {by_channel}\n")
    assert problem.reference.sum("date").values.tolist() == pytest.approx([12, 10, 0, 0])
    assert read("horizon: 4\ntotal: 100\nper: period\n").reference.sum() == pytest.approx(400)
    assert read("horizon: 4\ntotal: {amount: 100, per: period}\n").reference.sum() == pytest.approx(400)


@pytest.mark.parametrize("rise", ["", ", rise: 0.5, base: 1000"])
def test_usual_spend_in_units_is_what_buys_them(read, rise):
    text = f"horizon: 4\nobjective: {{kind: Profit, margin: 1}}\nprices: {{Insert: {{cost: 3{rise}}}}}\n"
    spend = read(text).reference.isel(date=0).sel(channel=SECOND).item()
    price = mj.Price(3, 0.5, 1000) if rise else mj.Price(3)
    assert price.units(np.array(spend)) == pytest.approx(FIT.panel.spend[1].mean())


def test_boxes_around_the_mean_leave_out_what_is_locked(read):
    bounds = read("horizon: 4\ntotal: 1\nbounds_around_mean: 0.25\nlocked: {Insert: 1}\n").stated.arguments["bounds"]
    assert set(bounds) == {FIRST, THIRD, FOURTH}
    assert bounds[FIRST] == pytest.approx((3 * FIT.panel.spend[0].mean(), 5 * FIT.panel.spend[0].mean()))


@pytest.mark.parametrize("kind", [*CONSTRAINTS, *TARGETS, *OBJECTIVES], ids=lambda kind: kind.__name__)
def test_schema_knows_every_part(kind):
    place = "objective" if kind in OBJECTIVES else "constraints"
    names = {item.name for item in fields(kind) if item.init}
    values = {"channels": FIRST, "amount": 1, "at_least": 1, "margin": 2, "objective": {"kind": "MeanResponse"}}
    given = {"kind": kind.__name__, **{name: value for name, value in values.items() if name in names}}
    assert problems(place, given) == []
    assert problems(place, {**given, "nonsense": 1}) != []
    for name in names:
        assert problems(place, {**given, name: [{}]}) != [], name


def problems(place: str, given: dict) -> list[str]:
    values = {"horizon": 1, place: given if place == "objective" else [given]}
    return [error.message for error in Draft202012Validator(plan_schema()).iter_errors(values)]


def test_registries_hold_all_parts():
    public = {name: getattr(mj, name) for name in dir(mj)}
    known = {kind.__name__ for kind in (*CONSTRAINTS, *TARGETS, *OBJECTIVES)}
    bases = (plan_parts.AbstractConstraint, plan_parts.AbstractTarget, plan_parts.AbstractObjective)
    assert {name for name, kind in public.items() if isinstance(kind, type) and issubclass(kind, bases)} == known


def test_a_new_part_needs_its_entry_only(monkeypatch, read):
    class Everywhere(mj.Group):
        """A group by another name."""

    monkeypatch.setattr("mmm_jax.cli.plan_schema.CONSTRAINTS", (Everywhere,))
    monkeypatch.setitem(plan_parts._KINDS, "Everywhere", Everywhere)
    problem = read("horizon: 4\ntotal: 10\nconstraints: [{kind: Everywhere, channels: Insert, upper: 5}]\n")
    assert problem.stated.arguments["constraints"] == (Everywhere(SECOND, upper=5),)


def test_field_types_become_schemas():
    found = options(mj.Price)["properties"]
    assert found["cost"] == {"type": ["number", "array"], "minItems": 1, "items": {"type": "number"}}
    assert found["base"] == {"type": "number"}


def test_to_beat_the_reference_draw_by_draw(read):
    text = f"horizon: 4\ntotal: 100\nreference: {EVERY}\nobjective: {{kind: ProbabilityToBeat}}\n"
    problem = read(text)
    plan = mj.optimize_budget(FIT, horizon=4, total=100, num_starts=1)
    expected = plan.respond(problem.reference)["total"].values.ravel()
    np.testing.assert_allclose(problem.stated.arguments["objective"].responses, expected, rtol=1e-6)
    given = read(text.replace("kind: ProbabilityToBeat", "kind: ProbabilityToBeat, responses: 3")).stated.arguments
    assert given["objective"].responses.tolist() == [3]


PLAN = "horizon: 4\ntotal: 100\n"


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("constraints: [{kind: Grop, channels: Insert}]", "line 3, constraints[0].kind", "did you mean 'Group'?"),
        ("constraints:\n- {kind: Group, chanels: Insert}", "line 4, constraints[0].chanels", "did you mean 'channels'?"),
        ("constraints: [{channels: Insert}]", "line 3, constraints[0].kind", "the key is missing"),
        ("constraints: [{kind: Group}]", "line 3, constraints[0].channels", "the key is missing"),
        ("constraints: [5]", "line 3, constraints[0]", "must be keys with values, got 5."),
        ("constraints:\n- kind: Box\n  channels: Radio", "line 5, constraints[0].channels", "no channel 'Radio'"),
        ("constraints: [{kind: Ratio, channels: Insert, of: [insert]}]", "constraints[0].of[0]", "did you mean 'Insert'?"),
        ("constraints: [{kind: Ratio, channels: Insert}]", "line 3, constraints[0]", "needs `lower` or `upper`"),
        ("constraints: [{kind: Step}]", "line 3, constraints[0]", "needs `up` or `down`"),
        ("constraints: [{kind: Box, lower: 3, upper: 2}]", "line 3, constraints[0]", "3 is above 2"),
        ("constraints: [{kind: Box, dates: [2016-02-14]}]", "line 3, constraints[0].dates", "at least 2 entries"),
        ("constraints: [{kind: Box, dates: [2016-02-14, soon]}]", "constraints[0].dates[1]", "a date such as"),
        ("constraints: [{kind: Box, dates: [2017-01-01, 2017-02-01]}]", "constraints[0].dates", "2016-02-14 to 2016-03-06"),
        ("constraints: [{kind: Box, geos: north}]", "constraints[0].geos", "the fit is one market"),
        ("constraints: [{kind: SameAcrossGeos}]", "line 3, constraints[0]", "needs a plan of several geos"),
        ("constraints: [{kind: RiskFloor, objective: {kind: CVaR, prob: 2}}]", "constraints[0].objective", "`prob` of CVaR"),
        ("constraints: [{kind: TargetOutcome, at_least: 1, probability: 1}]", "constraints[0]", "between 0 and 1"),
        ("objective: {kind: Profit}", "line 3, objective.margin", "the key is missing"),
        ("objective: {kind: Profit, margin: -1}", "line 3, objective", "`margin` must be positive"),
        ("objective: {kind: Profit, margin: 1, of: {kind: CVar}}", "objective.of.kind", "did you mean 'CVaR'?"),
        ("objective: MeanResponse", "line 3, objective", "must be keys with values, got the text 'MeanResponse'."),
        ("by: [date, geo]", "line 3, by[1]", "only a fit of several geos can be planned by geo"),
        ("by: [date]", "line 3, by", "must hold 'channel'"),
        ("by: [channel, date]\nprofile: {Insert: [1, 1, 1, 1]}", "line 4, profile", "every date have its own number"),
        ("profile: {Insert: [1, 1, 1, 1]}", "line 3, profile", "name every one."),
        ("locked: {Insert: [1, 2]}", "line 3, locked.Insert", "has 2 values, but the horizon has 4 dates."),
        ("locked: {insert: 1}", "line 3, locked.insert", "did you mean 'Insert'?"),
        ("locked: {Insert: 1}\nbounds: {Insert: [0, 2]}", "line 4, bounds.Insert", "a locked channel needs no bounds"),
        ("prices: {Insert: {cost: [1, 2]}}", "line 3, prices.Insert.cost", "has 2 values"),
        ("prices: {Insert: {cost: 1, rise: 1}}", "line 3, prices.Insert", "needs `base`"),
        ("scenarios: {bold: {Insert: 1}}", "line 3, scenarios.bold", "0 for none"),
        (f"scenarios: {{plan: {EVERY}}}", "line 3, scenarios.plan", "another name"),
        ("goal: {outcome: 5}", "line 3, goal", "either total or goal"),
        ("frontier: {from: 1, to: 2}", "line 3, frontier.steps", "the key is missing"),
        ("frontier: [0]", "line 3, frontier[0]", "above 0"),
        ("sensitivity: 0", "line 3, sensitivity", "above 0"),
        ("max_draws: 1", "line 3, max_draws", "at least 2"),
    ],
)
def test_mistakes_are_named_with_key_and_line(read, text, where, words):
    message = error_of(read, PLAN + text + "\n")
    assert message.startswith("plan.yaml, line ")
    assert f"{where}: " in message
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("horizon: 4\ntotal: {amount: 0}\n", "line 2, total", "must be positive"),
        ("horizon: 4\ntotal: {amuont: 5}\n", "line 2, total.amuont", "did you mean 'amount'?"),
        ("horizon: 4\ntotal: {amount: 5}\nper: period\n", "line 2, total", "say here, too"),
        ("horizon: 4\ngoal: {outcome: 5}\nobjective: {kind: CVaR}\n", "line 2, goal", "either objective or goal"),
        (PLAN + "profile:\n" + "".join(f"  {name}: [0, 0, 0, 0]\n" for name in EVERY), "profile.Direct Mail", "not be 0"),
    ],
)
def test_other_mistakes_are_named_with_key_and_line(read, text, where, words):
    message = error_of(read, text)
    assert f"{where}: " in message
    assert words in message


def test_a_part_that_is_none_is_one_problem(read):
    assert error_of(read, PLAN + "constraints: [5]\n").endswith("must be keys with values, got 5.")


def test_examples_of_the_package_are_valid():
    example = Path(__file__).parents[2] / "examples" / "case_study" / "weekly_plan.yaml"
    assert read_config(example, plan_schema()).values["by"] == ["channel", "date"]


def test_what_the_template_leaves_as_comments_is_valid_too(tmp_path):
    text = files("mmm_jax.cli").joinpath("examples", "plan.template.yaml").read_text()
    commented = text[text.index("# by:") :]
    lines = [line[2:] for line in commented.splitlines() if line[2:3].islower() or line.startswith("#   -")]
    path = tmp_path / "plan.yaml"
    path.write_text("\n".join(["horizon: 26", *lines]))
    assert set(read_config(path, plan_schema()).values) >= {"by", "locked", "constraints", "objective", "frontier", "goal"}
