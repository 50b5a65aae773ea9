"""The figures of bench/: what a ratio is, and where tables are written."""

from pathlib import Path

import pytest

from bench import report
from bench.loads import Load, Sample
from bench.report import BEGIN, END, Figures
from bench.wire import Refused


def never(_server: object) -> Sample:
    raise AssertionError


def figures(**values: list[float]) -> Figures:
    load = Load(group="g", title="t", unit="req/s", run=never)
    samples = {key: [Sample(value=one, per=10, processor=0.001) for one in found] for key, found in values.items()}
    return Figures(load=load, samples=samples)


def test_a_ratio_is_the_median_of_the_ratios_of_rounds() -> None:
    """Round by round: 8, 2 and 1.8; the ratio of the medians would be 9 / 5."""
    assert figures(longshore=[8, 80, 9], peer=[1, 40, 5]).ratio("peer") == 2


def test_a_peer_that_does_not_know_the_path_has_no_ratio() -> None:
    assert figures(longshore=[1.0]).ratio("peer") is None


def test_cost_is_processor_time_for_one_request() -> None:
    assert figures(longshore=[5, 6]).cost("longshore") == pytest.approx(100)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.4961, "0.50"), (72.46, "72.5"), (528.4, "528"), (2741, "2,740"), (64_912, "64,900")]
)
def test_numbers_have_three_digits(value: float, shown: str) -> None:
    assert report.number(value) == shown


def test_figures_are_written_between_their_marks_and_nowhere_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")

    report.write(page, "new")

    assert page.read_text() == f"before\n{BEGIN}\n\nnew\n{END}\nafter\n"


def test_a_page_without_marks_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("mine")

    with pytest.raises(Refused):
        report.write(page, "new")
    assert page.read_text() == "mine"
