"""Fixtures of the report room."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from report.browser import Browser, chromium
from report.plans import last_weeks, plan_of

from mmm_jax.report.plan_page import write_plan_page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless browser for all tests; skips where there is none."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium on PATH; install one, or set MMM_JAX_CHROMIUM to its program")
    with Browser(path) as found:
        yield found


@pytest.fixture(scope="session")
def page_of(tmp_path_factory) -> Callable[[str], Path]:
    """The page of a plan by the name of its spec, with the last weeks as the reference."""

    @cache
    def write(name: str) -> Path:
        words = {"target": "sales", "currency": "EUR", "reference": last_weeks(name), "reference_name": "Last quarter"}
        place = tmp_path_factory.mktemp("page") / "plan.html"
        return write_plan_page(plan_of(name), place, **words)

    return write
