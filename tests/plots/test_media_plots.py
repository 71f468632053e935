"""Pictures of media that are no spend: units are named, and what is organic has no return."""

import kinds
import matplotlib.pyplot as plt
import numpy as np
import pytest
import reached

from mmm_jax import plots
from mmm_jax.cli import report
from mmm_jax.cli.results import Results
from mmm_jax.cli.screen import Screen


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(ax) -> str:
    return " ".join(text.get_text() for text in [*ax.texts, *ax.get_yticklabels()])


def test_saturation_is_drawn_over_units():
    fit = kinds.fit()
    axes = plots.plot_saturation_curves(fit.saturation_curves(points=5), period="week")
    assert [ax.get_title().splitlines()[-1] for ax in axes] == ["tv_grp", "currency", "newsletter"]
    assert axes[0].figure.get_supxlabel().strip() == "Adstocked media (units above per week)"


def test_media_are_drawn_in_their_units():
    axes = plots.plot_spend_against_target(kinds.panel())
    assert [ax.get_title().splitlines()[1] for ax in axes] == ["tv_grp", "currency", "newsletter"]
    for ax, media in zip(axes, kinds.panel().exposure, strict=True):
        assert ax.collections[0].get_offsets()[:, 0].tolist() == media.tolist()


def test_returns_leave_out_what_is_organic():
    fit = kinds.fit()
    assert "no spend" in texts(plots.plot_roas(fit.roas()))
    assert "newsletter" not in texts(plots.plot_share_against_roas(fit.contribution_shares(), fit.roas()))
    responses = plots.plot_response_curves(fit.response_curves([0.0, 1.0]))
    assert "no spend" in texts(responses[2])


def test_treatments_stand_in_the_waterfall():
    assert "price" in texts(plots.plot_waterfall(kinds.fit().waterfall()))


def test_the_screen_leaves_out_what_is_organic(capsys):
    fit = kinds.fit()
    results = Results(fit, None, {}, fit.roas(), fit.contribution_shares(), {}, None, {})
    assert list(results.returns) == ["TV", "Radio"]
    report.show_results(Screen(), results)
    assert "Organic, without spend and so without return: newsletter." in capsys.readouterr().out


def test_saturation_is_drawn_over_frequency():
    axes = plots.plot_saturation_curves(reached.fit().saturation_curves(points=5), period="week")
    assert [ax.get_title().splitlines()[-1] for ax in axes] == ["tv_frequency", "currency", "mail_frequency"]
    assert [ax.get_xlabel() for ax in axes] == ["frequency, at the largest reach", "", "frequency, at the largest reach"]


def test_returns_are_drawn_over_frequency():
    found = reached.fit("s-shaped").optimal_frequency(points=11)
    axes = plots.plot_optimal_frequency(found, target="sales")
    assert "no spend" in texts(axes[1])
    drawn = {line.get_label(): line.get_xdata() for line in axes[0].lines}
    assert drawn["Optimal frequency"][0] == float(found["optimal_frequency"][0])
    assert drawn["Current frequency"][0] == float(found["current_frequency"][0])
    np.testing.assert_array_equal(drawn["Mean return"], found["frequency"].sel(channel="TV"))
    with pytest.raises(ValueError, match="by geo"):
        plots.plot_optimal_frequency(found.expand_dims(geo=2))
