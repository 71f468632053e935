"""The page as a file: complete in itself, safe, with the plan's own numbers."""

import re

import numpy as np
import pytest
from planning.fits import fit_from_prior, planned_rows
from report.pages import Elements, page_data
from report.plans import HOSTILE, RootPlan, last_weeks, plan_of

import mmm_jax as mj
from mmm_jax.errors import PlanError, StoreError
from mmm_jax.report import html, words
from mmm_jax.report.plan_page import write_plan_page

NAMES = (HOSTILE, "</script><script>alert(2)</script>", "{{data}}")


@pytest.fixture
def write(tmp_path):
    """Text of the page of any plan."""

    def write(plan, **arguments) -> str:
        return write_plan_page(plan, tmp_path / "page.html", overwrite=True, **arguments).read_text(encoding="utf-8")

    return write


@pytest.fixture(scope="module")
def logistic(page_of) -> str:
    """Text of the page of an additive plan."""
    return page_of("logistic").read_text(encoding="utf-8")


@pytest.mark.smoke
def test_the_page_needs_nothing_from_elsewhere(logistic):
    elements = Elements(logistic)
    assert not re.findall(r"https?:(?!//www\.w3\.org/2000/svg\")", logistic)
    assert not re.findall(r"@import|@font-face|url\((?!#)|fetch\(|XMLHttpRequest|import\(|sendBeacon|WebSocket", logistic)
    links = [
        value for _, found in elements.found for name, value in found.items() if name in ("src", "href", "srcset", "action")
    ]
    assert links == ["data:,"]
    assert not [name for _, found in elements.found for name in found if name.startswith("on") or name == "style"]


def test_the_policy_lets_only_the_pages_own_script_and_style_run(logistic):
    policy = Elements(logistic).of("meta")[1]["content"]
    script = logistic[logistic.index("<script>") + len("<script>") : logistic.rindex("</script>")]
    style = logistic[logistic.index("<style>") + len("<style>") : logistic.index("</style>")]
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src '{html.content_hash(script)}'" in policy
    assert f"style-src '{html.content_hash(style)}'" in policy


def test_hostile_names_are_shown_as_text(write):
    reference = dict.fromkeys(NAMES, 500.0)
    page = write(
        RootPlan(NAMES), target=HOSTILE, currency=HOSTILE, title=HOSTILE, reference=reference, reference_name=HOSTILE
    )
    elements = Elements(page)
    assert [found.get("type") for found in elements.of("script")] == ["application/json", None]
    assert page_data(page)["channels"] == list(NAMES)
    assert elements.within("title") == elements.within("h1") == HOSTILE
    assert set(NAMES) <= set(elements.within("legend").split("\n"))
    assert "{{" not in page.replace("{{data}}", "")


def test_the_headline_and_the_table_have_the_plans_numbers(logistic):
    plan, text = plan_of("logistic"), Elements(logistic).text
    comparison = plan.compare(last_weeks("logistic"))
    gain, response = comparison.difference.to_numpy(), plan.response.to_numpy()
    assert f"Spend {words.number(plan.total)} EUR 13 weeks 2016-02-14 to 2016-05-08" in text
    assert f"Expected response {words.number(response.mean())} sales 90% interval: {words.span(response)}" in text
    assert f"Gain over Last quarter {words.signed(gain.mean())}" in text
    assert f"90% interval: {words.span(gain)} Better with a probability of {words.chance((gain > 0).mean())}" in text
    assert "Proof Optimal" in text
    for name, row in plan.to_frame().iterrows():
        change = words.change(row["spend"], last_weeks("logistic")[name])
        cells = f"{name} {words.number(row['spend'])} {words.number(last_weeks('logistic')[name])} {change}"
        assert cells in text
        assert words.number(row["marginal_return"]) in text
        assert f"{words.number(row['response_lower'])} to {words.number(row['response_upper'])}" in text
    assert f"One more unit of spend would bring {words.number(plan.certificate.shadow_price)} sales." in text
    assert "No other plan can be better." in text


def test_the_price_of_every_limit_and_what_targets_reached_are_told(write):
    fit, usual = fit_from_prior("logistic"), plan_of("logistic")
    best = str(usual.channel_spend.idxmax().item())
    contract = mj.Group(best, upper=0.5 * float(usual.channel_spend.max()), label="a contract")
    goal = mj.TargetOutcome(0.5 * float(usual.response.mean()), label="a modest goal")
    plan = mj.optimize_budget(fit, horizon=planned_rows(), total=usual.total, constraints=[contract, goal])
    text = Elements(write(plan)).text
    assert f"a contract: {words.number(plan.certificate.shadow_prices['a contract'])}" in text
    assert f"What the targets reached. a modest goal: {words.number(plan.response.mean())}." in text


def test_a_problem_that_is_not_concave_says_how_far_its_starts_agree(write):
    assert "All starts agree." in Elements(write(RootPlan())).text


def test_the_script_gets_the_draws_of_all_channels_together(logistic):
    plan, data = plan_of("logistic"), page_data(logistic)
    effects = data["effects"].reshape(4, 10, 36)
    at_plan = [
        np.argmin(np.abs(np.array(row) - np.sqrt(p / h)))
        for row, p, h in zip(data["positions"], data["plan"], data["highest"], strict=True)
    ]
    found = np.stack([effects[channel, :, knot] for channel, knot in enumerate(at_plan)], axis=1)
    np.testing.assert_allclose(found, plan.channel_response.to_numpy().reshape(10, 4), rtol=1e-6)
    other = plan.compare(last_weeks("logistic")).other_response
    np.testing.assert_allclose(data["referenceResponse"], other.to_numpy().ravel(), rtol=1e-6)
    assert (effects[:, :, 0] == 0).all()


def test_without_a_reference_nothing_is_compared(write):
    elements = Elements(write(plan_of("logistic")))
    assert "Today" not in elements.text
    assert "Change" not in elements.text
    assert not [found for found in elements.of("button") if found["id"] == "to-reference"]


def test_a_reference_by_date_is_compared_as_it_is(write):
    plan = plan_of("logistic")
    early = plan.spend.copy(data=np.zeros(plan.spend.shape))
    early[0] = 2 * plan.spend.sum("date")
    data = page_data(write(plan, reference=early))
    np.testing.assert_allclose(data["reference"], 2 * np.array(data["plan"]))
    np.testing.assert_allclose(data["referenceResponse"], plan.respond(early)["total"].to_numpy().ravel(), rtol=1e-6)


def test_a_plan_that_is_not_proven_says_so_and_what_to_do(write):
    text = Elements(write(RootPlan(optimal=False))).text
    assert "Not proven optimal" in text
    assert "Raise `num_starts`, or narrow the bounds." in text
    assert "The plan keeps its rules" not in text


def test_channels_beyond_what_was_observed_are_marked(write):
    # 40% of 2,000 on one date.
    text = Elements(write(RootPlan(), observed_peak={"TV": 1e6, "Radio": 700.0})).text
    assert text.count("beyond what was observed") == 1
    assert "between its bounds, beyond what was observed" in text
    assert "beyond what was observed" not in Elements(write(RootPlan(), observed_peak={})).text


def test_the_plan_tells_what_was_observed(write):
    plan, panel = plan_of("logistic"), fit_from_prior("logistic").panel
    np.testing.assert_allclose(page_data(write(plan))["observed"], 13 * panel.spend.max(axis=1))
    assert Elements(write(RootPlan(far="TV"))).text.count("between its bounds, beyond what was observed") == 1


@pytest.mark.parametrize("name", ["logistic", "log link"])
def test_pages_stay_below_two_megabytes(name, write):
    many = RootPlan(tuple(f"Channel {index}" for index in range(40)), draws=4000)
    page = write(many if name == "logistic" else plan_of(name))
    assert len(page) < 2_000_000
    assert page_data(page)["draws"] == (236 if name == "logistic" else 10)


def test_channels_that_multiply_do_not_claim_to_add_up(write):
    text = Elements(write(plan_of("log link"))).text
    assert "rows do not add up" in text
    assert "rows do not add up" not in Elements(write(plan_of("logistic"))).text


def test_a_plan_by_geo_is_shown_by_channel(write):
    plan, page = RootPlan(geos=3), write(RootPlan(geos=3))
    response = plan.channel_response.sum("geo").to_numpy().reshape(20, 2)
    assert page_data(page)["plan"] == pytest.approx([1000.0, 2000.0])
    for name, amount, draws in zip(plan.channels, ("1.00k", "2.00k"), response.T, strict=True):
        row = f"{name} {amount} between its bounds 0.250 {words.number(draws.mean())} {words.span(draws)}"
        assert row in Elements(page).text


def test_one_channel_is_a_plan_too(write):
    assert page_data(write(RootPlan(("TV",))))["channels"] == ["TV"]


def test_files_are_not_overwritten_and_folders_not_made(tmp_path):
    path = write_plan_page(RootPlan(), tmp_path / "plan.html")
    with pytest.raises(StoreError, match="exists already"):
        write_plan_page(RootPlan(), path)
    with pytest.raises(StoreError, match="does not exist"):
        write_plan_page(RootPlan(), tmp_path / "nowhere" / "plan.html")
    assert write_plan_page(RootPlan(), path, overwrite=True, title="Anew").read_text(encoding="utf-8").count("Anew") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_draws": 0}, "`num_draws` must be at least 1, got 0"),
        ({"observed_peak": {"Cinema": 1.0}}, "names the channel 'Cinema'"),
        ({"reference": {"TV": 1.0}}, "must name each of the channels"),
    ],
)
def test_arguments_that_cannot_be_used_say_why(arguments, message, tmp_path):
    with pytest.raises(PlanError, match=message):
        write_plan_page(plan_of("logistic"), tmp_path / "plan.html", **arguments)
    assert not list(tmp_path.iterdir())


def test_the_same_plan_makes_the_same_page(write):
    assert write(RootPlan()) == write(RootPlan())


def _luminance(colour: str) -> float:
    parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_can_be_told_apart_in_the_light_and_in_the_dark(logistic):
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", logistic, re.DOTALL)[:2]
    )
    for colours in (light, light | dark):
        # Web Content Accessibility Guidelines 2.2, level AA: 4.5 for text, 3 for what has to be seen.
        for back in ("paper", "panel"):
            assert min(_contrast(colours[text], colours[back]) for text in ("ink", "quiet")) >= 4.5
        marks = ("main", "mark", "good", "bad", "reference", "control", "bar", "focus")
        assert min(_contrast(colours[mark], colours["paper"]) for mark in marks) >= 3
        assert _contrast(colours["ink"], colours["bar"]) >= 3
