"""The configuration's units, organic media and treatments: read as they stand, mistakes named with key and line."""

import kinds
import pytest
import reached

import mmm_jax as mj
from mmm_jax import ConfigError
from mmm_jax.cli.forecast import read_rows
from mmm_jax.cli.frequency_report import best_frequency, frequency_records, show_frequency
from mmm_jax.cli.plan_checks import check_plan
from mmm_jax.cli.plan_schema import plan_schema
from mmm_jax.cli.plan_spend import read_reference, usual_spend
from mmm_jax.cli.results import described
from mmm_jax.cli.schema import fit_schema
from mmm_jax.cli.screen import Screen
from mmm_jax.cli.table import read_panel, read_roles
from mmm_jax.cli.validation import read_config

GOOD = """\
data:
  date: week
  target: sales
  channels: [TV, Radio]
  controls: ["*"]
  media:
    TV: tv_grp
  organic: [newsletter]
  treatments:
    price: max
    promotion: 0.25
"""


@pytest.fixture
def config(tmp_path):
    def made(text: str, schema: dict | None = None):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return read_config(path, schema or fit_schema())

    return made


def test_the_panel_is_the_one_that_python_makes(config, tmp_path):
    """A pattern of controls leaves out whatever has another role."""
    frame = kinds.table()
    read = config(GOOD)
    found = read_panel(tmp_path / "table.csv", frame, read_roles(read, frame))
    assert found.fingerprint() == kinds.panel().fingerprint()
    told = described(found)
    assert told["units"] == {"TV": "tv_grp", "newsletter": "newsletter"}
    assert told["organic"] == ["newsletter"]
    assert told["treatments"] == {"price": "max", "promotion": 0.25}


@pytest.mark.parametrize(
    ("old", "new", "line", "keys", "words"),
    [
        ("TV: tv_grp", "Tv: tv_grp", 7, "data.media.Tv", "there is no channel 'Tv'; did you mean 'TV'?"),
        ("TV: tv_grp", "TV: tv_grps", 7, "data.media.TV", "no column 'tv_grps'; did you mean 'tv_grp'?"),
        ("TV: tv_grp", "TV: Radio", 7, "data.media.TV", "column 'Radio' is used already, as data.channels[1]"),
        ("[newsletter]", "[letter]", 8, "data.organic[0]", "no column 'letter'"),
        ("[newsletter]", "[TV]", 8, "data.organic[0]", "column 'TV' is used already"),
        ("price: max", "price: median", 10, "data.treatments.price", "must be one of max, mean, min; got 'median'"),
        ("price: max", "prize: max", 10, "data.treatments.prize", "no column 'prize'; did you mean 'price'?"),
        ("price: max", "price: [1]", 10, "data.treatments.price", "must be a number or text"),
        ("price: max", "newsletter: max", 10, "data.treatments.newsletter", "used already, as data.organic[0]"),
    ],
)
def test_a_mistake_is_named_with_key_and_line(config, old, new, line, keys, words):
    with pytest.raises(ConfigError) as caught:
        read_roles(config(GOOD.replace(old, new)), kinds.table())
    assert f"line {line}, {keys}: " in str(caught.value)
    assert words in str(caught.value)


def test_later_rows_are_read_beside_the_training_rows(config, tmp_path):
    config(GOOD)
    frame = kinds.table(kinds.WEEKS + kinds.HORIZON)
    frame.to_csv(tmp_path / "later.csv", index=False)
    fit = kinds.fit()
    rows = read_rows(tmp_path / "config.yaml", tmp_path / "later.csv", fit, Screen())
    expected = kinds.panel(frame).take(slice(kinds.WEEKS, None))
    assert rows.panel.exposure.tolist() == expected.exposure.tolist()
    fit.predict(rows.panel)
    config(GOOD.replace("    TV: tv_grp", "    TV: rain"))
    with pytest.raises(mj.PredictionError, match="units are not the fit's. Missing: tv_grp; unknown: rain"):
        read_rows(tmp_path / "config.yaml", tmp_path / "later.csv", fit, Screen())


def test_what_is_usual_is_currency(config):
    fit = kinds.fit()
    plan = config("horizon: 6\n", plan_schema())
    assert usual_spend(plan, fit).tolist() == fit.panel.spend.mean(axis=1).tolist()
    priced = usual_spend(config("horizon: 6\nprices: {TV: {cost: 2}}\n", plan_schema()), fit)
    assert priced[0] == pytest.approx(2 * fit.panel.exposure[0].mean())
    given = config("horizon: 6\nreference: {TV: 5, Radio: 6}\n", plan_schema())
    dates = kinds.panel(kinds.table(kinds.WEEKS + 6)).dates[-6:]
    check_plan(given, fit, dates)
    assert read_reference(given, fit, dates).sum("date").values.tolist() == pytest.approx([5.0, 6.0, 0.0])


@pytest.mark.parametrize(
    "key", ["bounds: {newsletter: [0, 1]}", "locked: {newsletter: 1}", "prices: {newsletter: {cost: 1}}"]
)
def test_no_plan_speaks_of_what_is_organic(config, key):
    with pytest.raises(ConfigError, match=rf"line 2, {key.split(':')[0]}.newsletter: this channel is organic"):
        check_plan(config(f"horizon: 6\n{key}\n", plan_schema()), kinds.fit(), kinds.panel().dates[:6])


FREQUENCY = (
    GOOD
    + """\
  frequency:
    TV: tv_frequency
    newsletter: mail_frequency
"""
)


def test_frequency_is_read_as_python_reads_it(config, tmp_path):
    frame = reached.table()
    found = read_panel(tmp_path / "table.csv", frame, read_roles(config(FREQUENCY), frame))
    assert found.fingerprint() == reached.panel().fingerprint()
    assert described(found)["average_frequency"] == reached.COLUMNS
    reached.table(kinds.WEEKS + kinds.HORIZON).to_csv(tmp_path / "later.csv", index=False)
    rows = read_rows(tmp_path / "config.yaml", tmp_path / "later.csv", reached.fit(), Screen())
    assert rows.panel.average_frequency[0].tolist() == reached.table(66)["tv_frequency"].iloc[60:].tolist()
    config(FREQUENCY.replace("    newsletter: mail_frequency", ""))
    with pytest.raises(mj.PredictionError, match="columns of frequency are not the fit's. Missing: mail_frequency"):
        read_rows(tmp_path / "config.yaml", tmp_path / "later.csv", reached.fit(), Screen())


@pytest.mark.parametrize(
    ("old", "new", "line", "keys", "words"),
    [
        ("TV: tv_frequency", "Tv: tv_frequency", 13, "data.frequency.Tv", "there is no channel 'Tv'; did you mean 'TV'?"),
        ("TV: tv_frequency", "Radio: tv_frequency", 13, "data.frequency.Radio", "the reach of 'Radio' is not known"),
        ("TV: tv_frequency", "TV: tv_frequencies", 13, "data.frequency.TV", "no column 'tv_frequencies'"),
        ("TV: tv_frequency", "TV: newsletter", 13, "data.frequency.TV", "is used already, as data.organic[0]"),
    ],
)
def test_a_mistake_of_frequency_is_named_with_key_and_line(config, old, new, line, keys, words):
    with pytest.raises(ConfigError) as caught:
        read_roles(config(FREQUENCY.replace(old, new)), reached.table())
    assert f"line {line}, {keys}: " in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["logistic", "s-shaped"])
def test_the_best_frequency_is_told(capsys, name):
    """A curve that bends from the start is best at its lowest end; without spend there is no return."""
    fit = reached.fit(name)
    found = best_frequency(fit, 0.9)
    assert found is not None
    records = frequency_records(found)
    assert records["TV"]["optimal_frequency"] == float(fit.optimal_frequency()["optimal_frequency"][0])
    assert "roas_optimal" in records["TV"]
    assert "roas_optimal" not in records["newsletter"]
    show_frequency(Screen(), found, 0.9)
    out = capsys.readouterr().out
    assert "Average frequency" in out
    assert ("1.00*" in out) == (name == "logistic")
    assert ("* An end of what was looked at: once each." in out) == (name == "logistic")
    assert best_frequency(kinds.fit(), 0.9) is None
