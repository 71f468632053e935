"""The verb `write_plan_page`: a budget plan as one HTML file in which people can ask what if."""

from collections.abc import Mapping
from pathlib import Path

from mmm_jax.errors import PlanError, StoreError
from mmm_jax.planning.allocation import Allocation, Spend


def write_plan_page(
    plan: Allocation,
    path: str | Path,
    *,
    target: str = "target",
    currency: str = "currency",
    title: str | None = None,
    reference: Spend | None = None,
    reference_name: str = "Today",
    observed_peak: Mapping[str, float] | None = None,
    num_draws: int = 400,
    overwrite: bool = False,
) -> Path:
    """Write a plan as one HTML file that needs no network: what it brings, why it is the best, and a what-if.

    The what-if moves each channel's spend from 0 to twice the plan's, or beyond the reference's, and computes in the
    browser what that brings, from joint posterior draws: with 90 % intervals, and with the probability to be better.

    Args:
        plan: from `optimize_budget`.
        path: of the file.
        target: name of the target and its unit.
        currency: name of the currency.
        title: of the page; says how much is spent on which dates by default.
        reference: spend over the same dates to compare with: currency by channel, or over (date, channel).
        reference_name: what the reference is.
        observed_peak: largest spend per period that was observed, in currency by channel: what lies beyond is marked as
            guesswork. As the plan says by default.
        num_draws: how many draws the what-if computes with, evenly spread over the chains; fewer where the page would
            grow beyond about 2 MB.
        overwrite: replace a file that exists.

    Returns:
        The path.

    Raises:
        PlanError: a reference or a peak that does not match the plan.
        StoreError: the file exists, or its folder does not.
    """
    # It takes colours and numbers from the pictures, and with them matplotlib, which `import mmm_jax` must not wait for.
    from mmm_jax.report.document import plan_document
    from mmm_jax.report.words import Words

    place = _checked(Path(path), overwrite=overwrite)
    if num_draws < 1:
        raise PlanError(f"`num_draws` must be at least 1, got {num_draws}.")
    words = Words(target, currency, reference_name)
    given = {"title": title, "reference": reference, "observed_peak": observed_peak}
    page = plan_document(plan, words, **given, num_draws=num_draws)
    place.write_text(page, encoding="utf-8", newline="\n")
    return place


def _checked(path: Path, *, overwrite: bool) -> Path:
    if path.exists() and not overwrite:
        raise StoreError(f"{path} exists already. Choose another path, or pass overwrite=True.")
    if not path.parent.is_dir():
        raise StoreError(f"The folder {path.parent} does not exist. Create it first.")
    return path
