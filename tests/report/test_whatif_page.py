"""The page in a browser: what it shows for moved sliders is what the plan itself says on the same draws."""

import json
from urllib.parse import urlencode

import numpy as np
import pytest
from report.plans import HOSTILE, MULTIPLIED, RootPlan, last_weeks, plan_of

from mmm_jax.report.effects import by_channel, flat
from mmm_jax.report.plan_page import write_plan_page

EXACT = 1e-5
"""At the plan itself, where the page knows the curves: the error of 32-bit numbers in differences."""

BETWEEN = 1e-3
"""Elsewhere, in parts of the response: `test_curves` has the errors of the interpolation one by one."""

CLOSE = ["logistic", "linear", "s-shaped", *MULTIPLIED]
"""Specs whose prior draws of the curves are no steps."""

MULTIPLES = np.array([1.5, 0.4, 1.0, 0.85])


def fragment(channels, amounts) -> str:
    return "#" + urlencode(dict(zip(channels, amounts.tolist(), strict=True)))


def spend_of(plan, multiples):
    """The plan's spend with each channel multiplied; what it is by channel."""
    spend = plan.spend * plan.spend["channel"].copy(data=multiples)
    return spend, spend.sum("date").to_numpy()


def middle(draws):
    return np.array([draws.mean(), *np.quantile(draws, [0.05, 0.95])])


def shown(page, name):
    return np.array([*page.values(f"{name}-value"), *page.values(f"{name}-range")])


@pytest.mark.parametrize("name", ["logistic", "log link"])
def test_it_opens_at_the_plan(browser, page_of, name):
    plan = plan_of(name)
    page = browser.open(page_of(name))
    np.testing.assert_allclose(shown(page, "response"), middle(flat(plan.response)), rtol=EXACT)
    found = [page.values(f"brings-{channel}")[0] for channel in range(4)]
    np.testing.assert_allclose(found, by_channel(plan.channel_response).mean(axis=0), rtol=EXACT)
    assert page.text("gain-value") == "No difference"
    assert page.text("spend-range") == "As much as the plan"
    assert page.run("location.hash") == ""
    assert not page.happened("Runtime.exceptionThrown") + page.happened("Log.entryAdded")


@pytest.mark.parametrize("name", CLOSE)
def test_an_address_with_amounts_shows_what_they_bring(browser, page_of, name):
    plan, reference = plan_of(name), last_weeks(name)
    spend, amounts = spend_of(plan, MULTIPLES)
    page = browser.open(page_of(name), fragment(plan.spend["channel"].values, amounts))
    exact, total = plan.respond(spend), flat(plan.respond(spend)["total"])
    near = BETWEEN * total.mean()
    np.testing.assert_allclose(shown(page, "response"), middle(total), atol=near)
    gain = total - flat(plan.response)
    np.testing.assert_allclose(shown(page, "gain"), middle(gain), atol=near)
    assert page.values("gain-chance") == [(gain > 0).mean()]
    over = total - flat(plan.compare(reference).other_response)
    np.testing.assert_allclose(shown(page, "reference"), middle(over), atol=near)
    assert page.values("reference-chance") == [(over > 0).mean()]
    for channel, draws in enumerate(by_channel(exact["by_channel"]).T):
        brings = page.values(f"brings-{channel}") + page.values(f"brings-{channel}", "range")
        np.testing.assert_allclose(brings, middle(draws), atol=near)
    assert page.values("spend-value") == pytest.approx([amounts.sum()])
    assert page.values("spend-range") == pytest.approx([amounts.sum() - plan.total])


def test_sliders_follow_the_keyboard_and_the_address_follows_them(browser, page_of):
    page = browser.open(page_of("logistic"))
    before = page.values("response-value")[0]
    for _ in range(3):
        page.press("slider-1", "ArrowRight")
    amount = float(page.run("document.getElementById('spend-1').value"))
    highest = float(page.run("document.getElementById('spend-1').max"))
    assert amount == pytest.approx(0.503 * highest, rel=1e-3)
    assert page.values("response-value")[0] > before
    assert page.run("new URLSearchParams(location.hash.slice(1)).get('Insert')") == str(round(amount))
    assert page.run("document.getElementById('shown').value") == "1"
    assert "EUR, +0.6% against the plan's" in page.run("document.getElementById('slider-1').getAttribute('aria-valuetext')")
    for _ in range(3):
        page.press("slider-1", "ArrowLeft")
    assert page.text("gain-value") == "No difference"
    assert page.run("location.hash") == ""


def test_typed_amounts_stay_within_what_the_page_knows(browser, page_of):
    page = browser.open(page_of("logistic"))
    highest = float(page.run("document.getElementById('spend-0').max"))
    for typed, amount in (("123456", 123456.0), ("1e12", highest), ("-5", 0.0)):
        page.enter("spend-0", typed)
        assert float(page.run("document.getElementById('spend-0').value")) == pytest.approx(amount, abs=0.5)
        assert float(page.run("document.getElementById('slider-0').value")) == round(1000 * amount / highest)


def test_buttons_set_the_plan_its_total_and_the_reference(browser, page_of):
    plan, reference = plan_of("logistic"), last_weeks("logistic")
    _, amounts = spend_of(plan, MULTIPLES)
    page = browser.open(page_of("logistic"), fragment(plan.spend["channel"].values, amounts))
    page.click("rescale")
    assert page.text("spend-range") == "As much as the plan"
    assert page.text("gain-value") != "No difference"
    page.click("to-reference")
    assert page.values("spend-value") == pytest.approx([sum(reference.values())])
    # A reference by channel is spread over the dates as the plan is, so that the page knows it exactly.
    assert abs(page.values("reference-value")[0]) < EXACT * float(plan.response.mean())
    page.click("reset")
    assert page.text("gain-value") == "No difference"
    assert page.run("location.hash") == ""


def test_unknown_names_and_words_in_the_address_change_nothing(browser, page_of):
    page = browser.open(page_of("logistic"), "#Cinema=5&Insert=much&Newspaper=-3&Direct%20Mail")
    assert page.values("spend-value")[0] < plan_of("logistic").total
    assert json.loads(page.run("JSON.stringify([...new URLSearchParams(location.hash.slice(1)).keys()])")) == ["Direct Mail"]


def test_what_lies_beyond_the_observed_is_said_in_words(browser, tmp_path):
    path = write_plan_page(RootPlan(), tmp_path / "plan.html", observed_peak={"TV": 500.0, "Radio": 1e6})
    page = browser.open(path, "#TV=1200")
    assert not page.run("document.getElementById('warning').checkVisibility()")
    assert page.run("document.querySelectorAll('#curve .beyond').length") == 1
    page.enter("slider-0", 900)
    assert page.text("warning").startswith("TV: beyond what was observed.")
    assert page.text("note-0").endswith("beyond what was observed")
    assert "beyond" not in page.text("note-1")
    page.enter("shown", 1)
    assert page.run("document.querySelectorAll('#curve .beyond').length") == 0


def test_hostile_names_are_text_in_the_browser_too(browser, tmp_path):
    names = (HOSTILE, "<img src=x onerror='document.title = 1'>")
    path = write_plan_page(RootPlan(names), tmp_path / "plan.html", target=HOSTILE, currency=HOSTILE, title="Safe")
    page = browser.open(path, "#" + urlencode({names[0]: 700.0}))
    assert page.run("document.querySelectorAll('script').length") == 2
    assert page.run("document.querySelectorAll('img').length") == 0
    assert page.run("document.title") == "Safe"
    assert page.run("[...document.querySelectorAll('legend')].map((found) => found.textContent)") == list(names)
    assert page.values("spend-value") == [2700.0]
    assert not page.happened("Page.javascriptDialogOpening")


def test_the_browser_fetches_nothing_but_the_page(browser, page_of):
    page = browser.open(page_of("logistic"))
    fetched = [event["request"]["url"] for event in page.happened("Network.requestWillBeSent")]
    assert [url for url in fetched if not url.startswith("data:")] == [page.run("location.href")]


def test_results_are_spoken_once_the_sliders_rest(browser, page_of):
    page = browser.open(page_of("logistic"))
    page.press("slider-0", "End")
    assert page.run("document.getElementById('spoken').getAttribute('aria-live')") == "polite"
    page.wait_for(f"document.getElementById('spoken').textContent.startsWith({json.dumps(page.text('response-value'))})")


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [400, 800, 1200])
def test_nothing_sticks_out(browser, tmp_path, width, dark):
    names = ("A channel of a very long name, in two countries", "Withoutanyblanksinitsnamethatcouldbebroken" * 2)
    reference = dict.fromkeys(names, 9e8)
    path = write_plan_page(RootPlan(names), tmp_path / "plan.html", reference=reference, observed_peak={names[1]: 10.0})
    page = browser.open(path, width=width, dark=dark)
    assert page.run("document.documentElement.scrollWidth") <= width
    # What hides the table's head from the eye alone leaves it as wide as it is.
    seen = "[...document.querySelectorAll('main :not(thead, thead *)')]"
    sticking = f"{seen}.filter((found) => found.getBoundingClientRect().right > innerWidth + 1)"
    assert page.run(f"{sticking}.map((found) => found.outerHTML.slice(0, 80))") == []


def test_every_control_has_a_name(browser, page_of):
    page = browser.open(page_of("logistic"))
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    controls = {"slider", "spinbutton", "button", "combobox"}
    names = [
        node["name"]["value"] for node in nodes if node.get("role", {}).get("value") in controls and not node["ignored"]
    ]
    assert len(names) == 4 + 4 + 3 + 1
    assert all(names)
