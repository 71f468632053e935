"""Configuration files: what is wrong is named with its key and its line, once, before anything is computed."""

import re
from importlib.resources import files
from pathlib import Path
from string import Template

import numpyro.distributions as dist
import pandas as pd
import pytest
from jsonschema import Draft202012Validator

import mmm_jax as mj
from mmm_jax.cli.config import Config, parse_config
from mmm_jax.cli.model import check_fits, read_spec
from mmm_jax.cli.plan_schema import plan_schema
from mmm_jax.cli.schema import fit_schema
from mmm_jax.cli.table import read_panel, read_roles, read_table, split_panel
from mmm_jax.cli.validation import read_config
from mmm_jax.model.components import ADSTOCKS, SATURATIONS
from mmm_jax.model.likelihoods import LIKELIHOODS
from mmm_jax.model.priors import FAMILIES, prior_to_dict
from mmm_jax.model.spec import TRENDS

GOOD = """\
data:
  date: week
  target: sales
  channels:
    TV: spend_tv
    Radio: spend_radio
  controls: [price, "holiday_*"]
  last_training_date: 2024-03-03
model:
  adstock:
    kind: GeometricAdstock
    l_max: 4
  saturation: {kind: LogisticSaturation}
  yearly_seasonality: 1
  likelihood:
    kind: TruncatedNormal
    lower: 0.0
  priors:
    intercept:
      dist: Normal
      loc: 0.2
      scale: 5e-2
    saturation_beta: {dist: SpendShare}
sampling:
  num_chains: 2
  target_accept: 0.9
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file under its plain name into the current folder."""
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes, name: str = "config.yaml") -> Path:
        path = Path(name)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def frame() -> pd.DataFrame:
    """Twelve weeks with two channels, a price and two holidays."""
    weeks = pd.date_range("2024-01-07", periods=12, freq="7D").astype(str)
    columns = {"spend_tv": range(12), "spend_radio": range(12, 0, -1), "price": [1.0, 2.0] * 6}
    holidays = {"holiday_b": [0] * 11 + [1], "holiday_a": [1] + [0] * 11}
    return pd.DataFrame({"week": weeks, "sales": range(10, 22), **columns, **holidays})


def error_of(path: Path, schema: dict | None = None) -> str:
    with pytest.raises(mj.ConfigError) as raised:
        read_config(path, fit_schema() if schema is None else schema)
    return str(raised.value)


@pytest.mark.smoke
def test_good_file_says_what_it_says(write):
    config = read_config(write(GOOD), fit_schema())
    assert config.values["data"]["last_training_date"] == "2024-03-03"
    assert config.line("model", "adstock", "l_max") == 12
    assert config.line("data", "controls", 1) == 7
    assert read_spec(config) == mj.ModelSpec(
        adstock=mj.GeometricAdstock(l_max=4),
        saturation=mj.LogisticSaturation(),
        yearly_seasonality=1,
        likelihood=mj.TruncatedNormal(lower=0.0),
        priors={"intercept": dist.Normal(0.2, 0.05), "saturation_beta": mj.SpendShare()},
    )


MISTAKES = {
    "unknown key": ("l_max: 4", "l_mxa: 4", 12, "model.adstock.l_mxa", "did you mean 'l_max'?"),
    "unknown section": ("sampling:", "sampler:", 24, "sampler", "did you mean 'sampling'?"),
    "wrong type": ("l_max: 4", "l_max: four", 12, "model.adstock.l_max", "a whole number, got the text 'four'"),
    "number with a point": ("l_max: 4", "l_max: 4.0", 12, "model.adstock.l_max", "a whole number, got 4.0"),
    "truth for a number": ("l_max: 4", "l_max: true", 12, "model.adstock.l_max", "a whole number, got true"),
    "section for a number": ("l_max: 4", "l_max: {a: 1}", 12, "model.adstock.l_max", "got keys with values"),
    "not finite": ("5e-2", ".inf", 22, "model.priors.intercept.scale", "must be a finite number"),
    "no value": ("target: sales", "target:", 3, "data.target", "no value"),
    "empty text": ("target: sales", "target: ''", 3, "data.target", "must not be empty"),
    "missing key": ("  target: sales\n", "", 1, "data.target", "the key is missing"),
    "missing option": ("    l_max: 4\n", "", 10, "model.adstock.l_max", "the key is missing"),
    "out of range": ("num_chains: 2", "num_chains: 0", 25, "sampling.num_chains", "at least 1, got 0"),
    "at the end of a range": ("accept: 0.9", "accept: 1", 26, "sampling.target_accept", "below 1, got 1"),
    "no date": ("2024-03-03", "2024-02-30", 8, "data.last_training_date", "a date such as"),
    "no entry": ('[price, "holiday_*"]', "[price, 3]", 7, "data.controls[1]", "must be text, got 3"),
    "prior family": ("dist: Normal", "dist: Norml", 20, "model.priors.intercept.dist", "did you mean 'Normal'?"),
    "prior argument": ("loc: 0.2", "mu: 0.2", 21, "model.priors.intercept.mu", "Known keys: dist, loc, scale"),
    "prior argument's type": ("loc: 0.2", "loc: big", 21, "model.priors.intercept.loc", "a number or a list"),
    "likelihood": ("TruncatedNormal", "Truncated", 16, "model.likelihood.kind", "did you mean 'TruncatedNormal'?"),
    "kind of another part": ("kind: GeometricAdstock", "kind: Normal", 11, "model.adstock.kind", "must be one of"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_named_with_key_and_line(write, mistake):
    old, new, line, keys, words = MISTAKES[mistake]
    assert old in GOOD
    message = error_of(write(GOOD.replace(old, new, 1)))
    assert message.startswith(f"config.yaml, line {line}, {keys}: "), message
    assert words in message


LINES_WITH_KEYS = [
    number
    for number, line in enumerate(GOOD.splitlines(), start=1)
    # Names of channels and parameters are the user's own.
    if re.match(r" *[a-z_]+:", line) and line.split(":")[0].strip() not in ("intercept", "saturation_beta")
]


@pytest.mark.parametrize("number", LINES_WITH_KEYS)
def test_misspelt_key_is_found_in_its_line(write, number):
    lines = GOOD.splitlines(keepends=True)
    lines[number - 1] = lines[number - 1].replace(":", "x:", 1)
    message = error_of(write("".join(lines)))
    assert message.startswith(f"config.yaml, line {number}, ")
    assert "unknown key; did you mean" in message


@pytest.mark.parametrize(
    ("text", "beginning", "words"),
    [
        ("", "config.yaml: ", "empty"),
        ("# nothing\n", "config.yaml: ", "empty"),
        ("\n- a\n- b\n", "config.yaml, line 2: ", "keys with values"),
        ("only text", "config.yaml, line 1: ", "keys with values"),
        ("data: {a: 1\nmodel: 2\n", "config.yaml, line 2: ", "cannot be read"),
        ("data:\n\tdate: week\n", "config.yaml, line 2: ", "spaces, not tabs"),
        ("data:\n  date: a: b\n", "config.yaml, line 2: ", "needs quotes"),
        ("data: 1\n---\ndata: 2\n", "config.yaml, line 2: ", "single document"),
        ("data: 1\nmodel: 2\ndata: 3\n", "config.yaml, line 1, data: ", "twice, here and in line 3"),
        ("data:\n  yes: week\n", "config.yaml, line 2, data: ", "put it in quotes"),
        ("data: &all [*all]\n", "config.yaml, line 1: ", "alias"),
        ("data: !!python/object/apply:os.getcwd []\n", "config.yaml, line 1, data: ", "not supported"),
        ("data: !!int word\n", "config.yaml, line 1, data: ", "cannot be read as"),
        ("a: " + 2000 * "[", "config.yaml: ", "nested too deeply"),
        (b"data: 1\ndate: caf\xe9\n", "config.yaml, line 2: ", "UTF-8"),
        (b"data: 1\ndate: \x07\n", "config.yaml, line 2: ", "character 0x7"),
    ],
)
def test_unreadable_file_names_its_line(write, text, beginning, words):
    message = error_of(write(text))
    assert message.startswith(beginning)
    assert words in message


def test_absent_file_and_folder(tmp_path):
    assert "does not exist" in error_of(tmp_path / "none.yaml")
    assert "is a folder" in error_of(tmp_path)


def test_byte_order_mark_is_no_mistake(write):
    assert parse_config(write(b"\xef\xbb\xbfdata: 1\n")).values == {"data": 1}


@pytest.mark.parametrize(("written", "meant"), [("38e6", 38e6), ("1E-3", 1e-3), ("2018-02-01", "2018-02-01"), ("5", 5)])
def test_scalars_are_those_of_newer_yaml(write, written, meant):
    assert parse_config(write(f"value: {written}")).values == {"value": meant}


def test_all_problems_are_counted_and_the_first_is_named(write):
    text = GOOD.replace("num_chains: 2", "num_chains: 0").replace("date: week", "dat: week")
    message = error_of(write(text))
    assert message.startswith("config.yaml, line 2, data.dat: unknown key; did you mean 'date'?")
    assert message.endswith("(The file has 2 more problems.)")


@pytest.mark.parametrize(
    ("old", "new", "line", "keys", "words"),
    [
        ("scale: 5e-2", "scale: -1", 19, "model.priors.intercept", "invalid scale"),
        ("saturation_beta:", "saturation_bta:", 23, "model.priors.saturation_bta", "did you mean 'saturation_beta'?"),
    ],
)
def test_model_that_the_package_refuses(write, old, new, line, keys, words):
    config = read_config(write(GOOD.replace(old, new)), fit_schema())
    with pytest.raises(mj.ConfigError, match=re.escape(f"config.yaml, line {line}, {keys}: ")) as raised:
        read_spec(config)
    assert words in str(raised.value)


def test_a_prior_of_the_return(write, frame):
    """What the prior is stated on has a prior, and can be pooled like any other parameter."""
    stated = (
        "  media_prior: roas\n  pooling: {roas: complete}\n  priors:\n    roas: {dist: LogNormal, loc: 0.3, scale: 0.5}\n"
    )
    text = re.sub("    saturation_beta:.*\n", "", GOOD).replace("  priors:\n", stated)
    config = read_config(write(text), fit_schema())
    read_all(config, frame)
    assert (read_spec(config).media_prior, read_spec(config).pooling) == ("roas", {"roas": "complete"})
    for old, new, keys, words in [
        ("    roas:.*\n", "", "media_prior", "priors has none of that name"),
        ("scale: 0.5", "scale: -1", "priors.roas", "invalid scale"),
        ("{roas: c", "{saturation_lam: partial, rios: c", "pooling", "names 'rios'"),
        ("media_prior: roas", "media_prior: roi", "media_prior", "must be one of effect, roas"),
    ]:
        with pytest.raises(mj.ConfigError, match=rf"model\.{keys}: .*{words}"):
            read_spec(read_config(write(re.sub(old, new, text)), fit_schema()))


def test_pooling_is_of_the_parameters_of_the_chosen_curve(write):
    hill = GOOD.replace("LogisticSaturation}", "HillSaturation}\n  pooling: {saturation_kappa: partial}")
    assert read_spec(read_config(write(hill), fit_schema())).pooling == {"saturation_kappa": "partial"}


GROUPS = """\
  groups:
    - channels: [TV]
      adstock: {kind: WeibullCDFAdstock, l_max: 6}
    - channels: [Radio]
      saturation: {kind: MichaelisMentenSaturation}
      adstock_first: false
  priors:
    saturation_lam: {dist: HalfNormal, scale: 1.0}
"""
GROUPED = GOOD.replace("  priors:\n", GROUPS)


def test_groups_of_channels(write, frame):
    config = read_config(write(GROUPED), fit_schema())
    read_all(config, frame)
    assert read_spec(config).groups == (
        mj.MediaGroup(("TV",), adstock=mj.WeibullCDFAdstock(l_max=6)),
        mj.MediaGroup(("Radio",), saturation=mj.MichaelisMentenSaturation(), adstock_first=False),
    )


@pytest.mark.parametrize(
    ("old", "new", "line", "keys", "words"),
    [
        ("[TV]", "[Television]", 18, "model.groups", "groups[0].channels names 'Television'"),
        ("[Radio]", "[TV]", 18, "model.groups", "groups[1].channels names 'TV' as groups[0] does"),
        ("l_max: 6", "l_max: 12", 20, "model.groups[0].adstock.l_max", "only 9 rows"),
        ("l_max: 6", "l_max: 0", 20, "model.groups[0].adstock", "l_max must be at least 1"),
        ("saturation_lam:", "saturation_lamb:", 25, "model.priors.saturation_lamb", "did you mean 'saturation_lam'?"),
        (
            "    saturation_lam: {dist: HalfNormal, scale: 1.0}\n",
            "",
            18,
            "model.groups",
            "share the parameter 'saturation_lam'",
        ),
        (
            "      adstock: {kind: Weibull",
            "      adstok: {kind: Weibull",
            20,
            "model.groups[0].adstok",
            "did you mean 'adstock'?",
        ),
    ],
)
def test_groups_that_do_not_fit(write, frame, old, new, line, keys, words):
    assert old in GROUPED
    with pytest.raises(mj.ConfigError, match=re.escape(f"config.yaml, line {line}, {keys}: ")) as raised:
        read_all(read_config(write(GROUPED.replace(old, new, 1)), fit_schema()), frame)
    assert words in str(raised.value)


def read_all(config: Config, frame: pd.DataFrame) -> None:
    """What `fit` does before it samples."""
    panel = read_panel(Path("table.csv"), frame, read_roles(config, frame))
    check_fits(config, read_spec(config), split_panel(config, panel)[0])


@pytest.mark.parametrize(
    ("old", "new", "line", "keys", "words"),
    [
        ("l_max: 4", "l_max: 40", 12, "model.adstock.l_max", "only 9 rows"),
        ("loc: 0.2", "loc: [1, 2, 3]", 19, "model.priors.intercept", "does not fit"),
        ("lower: 0.0", "lower: 0.9", 15, "model.likelihood", "the first is on 2024-01-07"),
        ("2024-03-03", "2025-03-03", 8, "data.last_training_date", "no rows on one side"),
        ("target: sales", "target: sale", 3, "data.target", "did you mean 'sales'?"),
        ("date: week", "date: day", 2, "data.date", "no column 'day'"),
        ("spend_tv", "spend_TV", 5, "data.channels.TV", "did you mean 'spend_tv'?"),
        ("spend_tv", "spend_radio", 6, "data.channels.Radio", "used already, as data.channels.TV"),
        ("TV: spend_tv", "price: spend_tv", 5, "data.channels.price", "another name"),
        ("[price,", "[prices,", 7, "data.controls[0]", "did you mean 'price'?"),
        ('"holiday_*"', '"day_*"', 7, "data.controls[1]", "no column of the table matches"),
    ],
)
def test_configuration_that_does_not_fit_the_table(write, frame, old, new, line, keys, words):
    assert old in GOOD
    config = read_config(write(GOOD.replace(old, new, 1)), fit_schema())
    with pytest.raises(mj.ConfigError, match=re.escape(f"config.yaml, line {line}, {keys}: ")) as raised:
        read_all(config, frame)
    assert words in str(raised.value)


def test_roles_of_the_columns(write, frame):
    roles = read_roles(read_config(write(GOOD), fit_schema()), frame)
    panel = read_panel(Path("table.csv"), frame, roles)
    assert panel.channels == ("TV", "Radio")
    assert panel.control_names == ("price", "holiday_b", "holiday_a")
    assert panel.spend[0].tolist() == frame["spend_tv"].tolist()


def test_patterns_leave_out_what_has_a_role(write, frame):
    text = GOOD.replace('[price, "holiday_*"]', '["*", price]')
    roles = read_roles(read_config(write(text), fit_schema()), frame)
    assert roles.controls == ("price", "holiday_b", "holiday_a")


def test_plain_list_of_channels(write, frame):
    text = GOOD.replace("    TV: spend_tv\n    Radio: spend_radio\n", "    - spend_tv\n    - spend_radio\n")
    assert read_roles(read_config(write(text), fit_schema()), frame).channels == {
        "spend_tv": "spend_tv",
        "spend_radio": "spend_radio",
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("week,sales,sales\n", "column 'sales' stands in the table more than once"),
        ("week;sales\n1;2\n", "separated by ';'"),
        (b"week,caf\xe9\n", "not UTF-8"),
        ("week,sales\n1,2\n1,2,3\n", "cannot be read as CSV"),
    ],
)
def test_unreadable_table_is_named(write, content, words):
    path = write(content, "table.csv")
    with pytest.raises(mj.PanelError, match=r"table\.csv") as raised:
        read_table(path)
    assert words in str(raised.value)


def test_rule_of_the_panel_names_the_file(write, frame):
    frame.loc[3, "spend_tv"] = -1
    roles = read_roles(read_config(write(GOOD), fit_schema()), frame)
    with pytest.raises(mj.PanelError, match=r"^table\.csv: Spend must be non-negative.*2024-01-28"):
        read_panel(Path("table.csv"), frame, roles)


@pytest.mark.parametrize("schema", [fit_schema(), plan_schema()], ids=["fit", "plan"])
def test_schema_is_one(schema):
    Draft202012Validator.check_schema(schema)


def section_errors(section: str, value: object) -> list[str]:
    """What the fit's schema has against a value of a part of the model."""
    schema = fit_schema()["properties"]["model"]["properties"][section]
    return [error.message for error in Draft202012Validator(schema).iter_errors(value)]


@pytest.mark.parametrize("kind", [*ADSTOCKS, *SATURATIONS, *TRENDS, *LIKELIHOODS], ids=lambda kind: kind.__name__)
def test_schema_knows_every_component(kind):
    sections = {"adstock": ADSTOCKS, "saturation": SATURATIONS, "trend": TRENDS, "likelihood": LIKELIHOODS}
    section = next(name for name, kinds in sections.items() if kind in kinds)
    part = kind(l_max=5) if kind in ADSTOCKS and kind is not mj.NoAdstock else kind()
    written = mj.ModelSpec(**{section: part}).to_dict()[section]
    assert section_errors(section, written) == []
    assert section_errors(section, {**written, "nonsense": 1}) != []


@pytest.mark.parametrize("family", FAMILIES)
def test_schema_knows_every_prior_family(family):
    arguments = {"df": 3.0, "low": 0.0, "high": 2.0}
    names = FAMILIES[family].arg_constraints
    written = prior_to_dict(FAMILIES[family](**{name: arguments.get(name, 1.0) for name in names}))
    assert section_errors("priors", {"intercept": written}) == []
    assert section_errors("priors", {"intercept": {**written, "nonsense": 1}}) != []


def test_a_saved_spec_is_a_model_section():
    spec = mj.ModelSpec(trend=mj.PiecewiseTrend(num_changepoints=3), priors={"intercept": dist.Normal(0.1, 0.2)})
    schema = fit_schema()["properties"]["model"]
    assert list(Draft202012Validator(schema).iter_errors(spec.to_dict())) == []


def test_packaged_examples_are_valid(write):
    examples = files("mmm_jax.cli").joinpath("examples")
    read_spec(read_config(Path(str(examples.joinpath("fit.yaml"))), fit_schema()))
    plan = Template(examples.joinpath("plan.template.yaml").read_text()).substitute(
        horizon=26, total=38e6, reference="  TV: 38000000"
    )
    assert read_config(write(plan), plan_schema()).values["reference"] == {"TV": 38000000}


@pytest.mark.parametrize(
    ("text", "beginning", "words"),
    [
        ("horizon: 4\ntotal: 0\n", "config.yaml, line 2, total: ", "above 0"),
        ("horizon: 0\ntotal: 1\n", "config.yaml, line 1, horizon: ", "at least 1"),
        ("horizon: [2024-03-10, soon]\ntotal: 1\n", "config.yaml, line 1, horizon[1]: ", "a date such as"),
        ("horizon: 4\ntotal: 1\nbounds: {TV: [1]}\n", "config.yaml, line 3, bounds.TV: ", "at least 2 entries"),
        ("horizon: 4\ntotal: 1\nper: week\n", "config.yaml, line 3, per: ", "one of horizon, period"),
        ("total: 4\n", "config.yaml, horizon: ", "missing"),
    ],
)
def test_mistakes_of_a_plan(write, text, beginning, words):
    message = error_of(write(text), plan_schema())
    assert message.startswith(beginning)
    assert words in message
