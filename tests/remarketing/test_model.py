"""`ResponseModel` as an estimator: scikit-learn's checks, its laws, its words about bad input, and what it saves."""

import subprocess
import sys

import jax
import numpy as np
import numpyro.distributions as dist
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

import mmm_jax as mj
from mmm_jax.fitting.store import load_tree
from mmm_jax.remarketing import Preparation, ResponseModel, fit_responses, make_customers

QUICK = {"num_warmup": 200, "num_samples": 500}
FEATURES = ["Income", "Recency", "AcceptedCmp5"]
COUNTRIES = ["Chile", "Peru", "Spain"]


def customers(rows=300, seed=0):
    """A table of three features, none missing, and labels in words."""
    made = make_customers(seed=seed, customers=rows, missing_incomes=0)
    return made.table[FEATURES].copy(), made.table["Response"].map({0: "no", 1: "yes"})


@pytest.fixture(scope="module")
def fitted():
    """A small fit, and its table and labels."""
    table, labels = customers()
    return ResponseModel(**QUICK).fit(table, labels), table, labels


@pytest.fixture(scope="module")
def pooled():
    """A fit with three countries, and its table."""
    table, labels = customers()
    table["Country"] = np.resize(COUNTRIES, len(table))
    return ResponseModel(segment="Country", segment_slopes=True, target_accept=0.95, **QUICK).fit(table, labels), table


# The checks fit dozens of tables of a few rows; what is checked is the estimator, not these draws.
@pytest.mark.filterwarnings("ignore::mmm_jax.errors.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
def test_it_passes_all_checks_of_scikit_learn():
    results = check_estimator(ResponseModel(num_chains=2, num_warmup=100, num_samples=200), on_skip=None)
    assert len(results) > 50
    # That of arrays of other libraries is skipped unless SciPy is told to expect them.
    assert {each["check_name"] for each in results if each["status"] != "passed"} <= {"check_array_api_input"}


@pytest.mark.smoke
def test_options_survive_a_clone_and_fitting_leaves_them(fitted):
    model, *_ = fitted
    options = {"prior": dist.Normal(0.0, 0.5), "segment": "Country", "key": jax.random.key(3), **QUICK}
    copy = clone(ResponseModel(**options))
    assert copy.get_params()["segment"] == "Country"
    assert float(copy.prior.scale) == 0.5
    assert model.get_params() == ResponseModel(**QUICK).get_params()
    assert not hasattr(clone(model), "draws_")


def test_classes_and_probabilities_belong_together(fitted):
    model, table, labels = fitted
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.feature_names_in_.tolist() == FEATURES
    found = model.predict_proba(table)
    np.testing.assert_allclose(found.sum(axis=1), 1.0)
    np.testing.assert_allclose(found[:, 1].mean(), (labels == "yes").mean(), atol=0.01)
    np.testing.assert_array_equal(model.predict(table) == "yes", found[:, 1] > 0.5)
    draws = model.probabilities(table)
    assert draws.shape == (2000, len(table))
    np.testing.assert_allclose(draws.mean(axis=0), found[:, 1], rtol=1e-12)


def test_a_row_does_not_depend_on_the_others(fitted):
    model, table, _ = fitted
    all_at_once = model.predict_proba(table)
    np.testing.assert_allclose(model.predict_proba(table.iloc[[7]])[0], all_at_once[7], rtol=1e-12)
    np.testing.assert_allclose(model.predict_proba(table[::-1])[::-1], all_at_once, rtol=1e-12)


def test_fewer_draws_are_some_of_all(fitted):
    model, table, _ = fitted
    draws = model.probabilities(table)
    np.testing.assert_array_equal(model.probabilities(table, num_draws=10), draws[::200])
    np.testing.assert_array_equal(model.probabilities(table, num_draws=10_000), draws)
    with pytest.raises(mj.SpecError, match="num_draws must be at least 1, got 0"):
        model.probabilities(table, num_draws=0)


def test_units_do_not_matter_to_probabilities_and_show_in_odds(fitted):
    model, table, labels = fitted
    scaled = table.assign(Income=table["Income"] / 1024.0)
    other = ResponseModel(**QUICK).fit(scaled, labels)
    np.testing.assert_allclose(other.predict_proba(scaled), model.predict_proba(table), rtol=1e-9)
    per_euro, per_thousand = model.odds_ratios().loc["Income"], other.odds_ratios().loc["Income"]
    np.testing.assert_allclose(per_thousand["per_unit"], per_euro["per_unit"] ** 1024, rtol=1e-6)
    np.testing.assert_allclose(per_thousand["per_sd"], per_euro["per_sd"], rtol=1e-9)
    # A caller who divided by 1024 gets the ratios of what it was before.
    back = other.odds_ratios(units={"Income": 1024.0}).loc["Income"]
    np.testing.assert_allclose(back, per_euro, rtol=1e-9)


def test_odds_ratios_say_what_a_step_does_to_the_odds(fitted):
    model, table, _ = fitted
    row, odds = table.iloc[[0]].assign(AcceptedCmp5=0), model.odds_ratios(prob=0.5)
    with_it, without = (model.probabilities(row.assign(AcceptedCmp5=value))[:, 0] for value in (1, 0))
    ratios = with_it / (1 - with_it) * (1 - without) / without
    low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    expected = {"per_unit": middle, "per_unit_lower": low, "per_unit_upper": high, "raises": (ratios > 1).mean()}
    np.testing.assert_allclose(odds.loc["AcceptedCmp5", list(expected)].astype(float), list(expected.values()), rtol=1e-6)
    assert odds.index.tolist() == FEATURES
    np.testing.assert_allclose(odds["sd"], table.std(ddof=0), rtol=1e-12)


def test_rare_words_do_not_have_a_wider_prior():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"number": rng.normal(5.0, 3.0, 400), "rare": np.arange(400) < 2, "often": np.arange(400) < 200})
    model = ResponseModel(**QUICK).fit(table.astype(float), rng.random(400) < 0.3)
    np.testing.assert_allclose(model.scale_[1:], 0.5)
    np.testing.assert_allclose(model.scale_[0], table["number"].std(ddof=0))


def test_segments_are_pooled_and_new_ones_are_less_sure(pooled):
    model, table = pooled
    assert model.segments_.tolist() == COUNTRIES
    assert model.draws_["beta_eps"].shape == (4, 500, 3, 3)
    row = table.iloc[[0]]
    known, new = (model.probabilities(row.assign(Country=name)) for name in ("Chile", "Norway"))
    assert np.log(new / (1 - new)).std() > np.log(known / (1 - known)).std()
    np.testing.assert_array_equal(new, model.probabilities(row.assign(Country="Norway")))
    assert "Country" not in model.odds_ratios().index


def test_it_is_saved_without_any_customer_and_predicts_the_same(tmp_path, fitted, pooled):
    for (model, table, *_), name in zip((fitted, pooled), ("a.zarr", "b.nc"), strict=True):
        model.save(tmp_path / name)
        loaded = ResponseModel.load(tmp_path / name)
        np.testing.assert_array_equal(loaded.predict_proba(table), model.predict_proba(table))
        np.testing.assert_array_equal(loaded.predict(table), model.predict(table))
        assert loaded.get_params() == model.get_params()
        assert loaded.diagnostics == model.diagnostics
        tree = load_tree(tmp_path / name, "mmm_jax.response_model", 1)
        assert all(table["Income"].size not in values.shape for values in tree["constant_data"].values())
        with pytest.raises(mj.StoreError, match="exists already"):
            model.save(tmp_path / name)
    with pytest.raises(mj.StoreError, match=r"is not a fit that this package saved\. It holds a response_model"):
        mj.Fit.load(tmp_path / "a.zarr")


def test_options_that_are_objects_are_saved(tmp_path):
    table, labels = customers()
    options = {"prior": dist.Normal(0.0, 0.5), "engine": mj.SVI(num_steps=200), "key": jax.random.key(3)}
    with pytest.warns(mj.ApproximationWarning):
        ResponseModel(**options, num_samples=100).fit(table, labels).save(tmp_path / "a.zarr")
    loaded = ResponseModel.load(tmp_path / "a.zarr")
    assert float(loaded.prior.scale) == 0.5
    assert loaded.engine == options["engine"]
    assert jax.random.key_data(loaded.key).tolist() == jax.random.key_data(options["key"]).tolist()


def test_the_posterior_is_a_labelled_tree(fitted):
    model, table, labels = fitted
    tree = model.posterior
    assert set(tree.children) == {"posterior", "sample_stats", "observed_data", "constant_data"}
    assert tree["posterior"]["beta"].dims == ("chain", "draw", "column")
    assert tree["posterior"]["column"].to_numpy().tolist() == FEATURES
    assert int(tree["observed_data"]["response"].sum()) == (labels == "yes").sum()
    summary = model.summary()
    assert summary.index.tolist() == ["intercept", *(f"beta[{name}]" for name in FEATURES)]
    np.testing.assert_allclose(summary.loc["beta[Recency]", "mean"], model.draws_["beta"][..., 1].mean(), rtol=1e-5)


def test_shuffled_labels_cannot_be_told_and_real_ones_can():
    made = make_customers(seed=4, customers=600)
    table = made.table.drop(columns=["Z_CostContact"])
    areas = {}
    for name in ("real", "shuffled"):
        labels = made.table["Response"]
        if name == "shuffled":
            labels = pd.Series(np.random.default_rng(0).permutation(labels), labels.index)
        folds, held_out, tables = {}, {}, StratifiedKFold(5, shuffle=True, random_state=0).split(table, labels)
        for number, (train, test) in enumerate(tables):
            ready = Preparation(label="Response", customer="ID")
            folds[str(number)] = (ready.fit_transform(table.iloc[train], labels.iloc[train]), labels.iloc[train])
            held_out[str(number)] = (ready.transform(table.iloc[test]), labels.iloc[test])
        fitted = fit_responses(folds, ResponseModel(**QUICK), progress=False)
        found = [(labels, fitted[fold].predict_proba(rows)[:, 1]) for fold, (rows, labels) in held_out.items()]
        areas[name] = np.mean([roc_auc_score(*each) for each in found])
    assert areas["real"] > 0.75
    # Of 90 responses among 600, the area's deviation is 0.03.
    assert abs(areas["shuffled"] - 0.5) < 0.1


def test_it_is_the_last_step_of_a_pipeline():
    made = make_customers(seed=0, customers=400)
    pipeline = make_pipeline(Preparation(label="Response", customer="ID"), ResponseModel(**QUICK))
    pipeline.fit(made.table, made.table["Response"])
    new = make_customers(seed=1, customers=100)
    scores = pipeline.predict_proba(new.table.drop(columns="Response"))[:, 1]
    assert np.corrcoef(scores, new.truth.probabilities)[0, 1] > 0.6
    ready, model = pipeline[0], pipeline[-1]
    # A hundred euros more, in the table's own units.
    step = model.odds_ratios(units=ready.units_).loc["Income", "per_unit"] ** 1000
    row = new.table.iloc[[0]].assign(Income=30_000.0)
    more = row.assign(Income=31_000.0)
    odds = [p / (1 - p) for p in (np.median(model.probabilities(ready.transform(each))) for each in (more, row))]
    np.testing.assert_allclose(odds[0] / odds[1], step, rtol=0.02)


BAD_LABELS = {
    "missing": (lambda y: y.mask(y.index < 3), r"The label 'Response' is missing in 3 of 300 rows .* the first is row 0"),
    "one class": (lambda y: y * 0 + 1, "the label 'Response' has only one class: 1 in all 300 rows"),
    "three": (
        lambda y: y.where(y.index > 9, 7),
        r"Only binary .* multiclass: the label 'Response' has 3 values \(0, 1, 7\)",
    ),
    "numbers": (
        lambda y: y + 0.5 * (y.index % 3),
        "Only binary classification is supported. The type of the target is cont",
    ),
    "too few": (lambda y: y[:100], "There are 300 rows of features, but 100 labels"),
}


@pytest.mark.parametrize("case", BAD_LABELS)
def test_labels_that_are_no_labels_are_refused_with_column_and_count(case):
    made = make_customers(customers=300, missing_incomes=0)
    change, message = BAD_LABELS[case]
    with pytest.raises(mj.RemarketingError, match=message):
        ResponseModel().fit(made.table[FEATURES], change(made.table["Response"]))


def test_tables_that_are_not_usable_are_refused_with_column_and_count(fitted, pooled):
    model, table, labels = fitted
    cases = {
        "Column 'Income' is missing .* in 24 of 300 rows. Impute it first": table.assign(
            Income=table["Income"].where(table.index > 23)
        ),
        r"Column 'Recency' is infinity .* in 1 of 300 rows": table.assign(
            Recency=table["Recency"].where(table.index > 0, np.inf)
        ),
        "Column 'Recency' has no number in 300 of 300 rows; the first is 'long'. Preparation makes": table.assign(
            Recency="long"
        ),
        "Feature names seen at fit time, yet now missing:\n- Income": table.drop(columns="Income"),
    }
    for message, bad in cases.items():
        with pytest.raises(mj.RemarketingError, match=message):
            model.predict_proba(bad)
    rows = pooled[1]
    with pytest.raises(mj.RemarketingError, match="segment's column 'Country' is missing in 2 of 300 rows"):
        pooled[0].predict(rows.assign(Country=rows["Country"].where(rows.index > 1)))
    with pytest.raises(
        mj.RemarketingError, match="segment's column 'Land' is not in the table; there are 'Income', 'Recency'"
    ):
        ResponseModel(segment="Land").fit(table, labels)


OPTIONS = {
    "engine must be one of lanes, laplace, svi": {"engine": "numpyro"},
    "precision must be one of": {"precision": "float16"},
    "num_chains must be a whole number of at least 1": {"num_chains": 0},
    "prior must be a NumPyro Normal .* or a RegularizedHorseshoe, got": {"prior": dist.Laplace(0.0, 1.0)},
    "intercept_prior must be a NumPyro Normal with scalar arguments, got": {
        "intercept_prior": dist.Normal(np.zeros(2), 1.0)
    },
    "segment_spread must be positive": {"segment_spread": 0.0},
}


@pytest.mark.parametrize("message", OPTIONS)
def test_options_out_of_range_are_refused(message):
    with pytest.raises(mj.SpecError, match=message):
        ResponseModel(**OPTIONS[message]).fit(*customers())


def test_nothing_comes_from_a_model_that_was_not_fitted():
    for use in (lambda model: model.posterior, lambda model: model.odds_ratios(), lambda model: model.save("x.zarr")):
        with pytest.raises(NotFittedError):
            use(ResponseModel())


def test_importing_the_package_does_not_import_scikit_learn(monkeypatch):
    code = (
        "import sys, mmm_jax as mj; mj.remarketing; assert not {'sklearn'} & set(sys.modules); mj.remarketing.ResponseModel"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    for name in [name for name in sys.modules if name.startswith(("sklearn", "mmm_jax.remarketing."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(
        ImportError, match=r"ResponseModel needs the package scikit-learn: pip install 'mmm-jax\[remarketing\]'"
    ):
        mj.remarketing.ResponseModel  # noqa: B018
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        mj.remarketing.Nothing  # noqa: B018
