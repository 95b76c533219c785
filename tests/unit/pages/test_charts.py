import re
from xml.etree import ElementTree as ET

import matplotlib as mpl
import pytest

from pipelines.pages.charts import (
    ACCENT,
    Estimate,
    bars,
    dots,
    histogram,
    lines,
    scatter,
    shares,
)

HOSTILE = "<script>$\\frac$ & 本"
ESTIMATES = {
    "hybrid": Estimate(0.3, 0.2, 0.4),
    HOSTILE: Estimate(0.1, 0.1, 0.15),
    "plain": Estimate(0.2),
}


def drawings() -> dict[str, str]:
    return {
        "bars": bars(ESTIMATES, label="NDCG@10", accent="hybrid"),
        "dots": dots({"hybrid": ESTIMATES, HOSTILE: ESTIMATES}, label="NDCG@10"),
        "shares": shares({"1 to 4": {"a": 0.4, HOSTILE: 0.6}}, label="%"),
        "scatter": scatter(
            {"hybrid": (0.4, 0.3), HOSTILE: (0.4, 0.3)}, labels=("x", "y"), accent="hybrid"
        ),
        "lines": lines(
            {HOSTILE: {1: Estimate(0.1), 2: Estimate(0.2, 0.1, 0.3)}}, labels=("x", "y")
        ),
        "histogram": histogram([1, 3], [0, 1, 2], labels=("x", HOSTILE)),
    }


def texts(svg: str) -> list[str]:
    return [
        "".join(found.itertext())
        for found in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314 - ours
    ]


def test_the_same_values_give_the_same_file():
    assert drawings() == drawings()


def test_a_name_is_neither_markup_nor_mathematics():
    for name, svg in drawings().items():
        assert "<script" not in svg
        if name != "lines":  # one line alone needs no legend
            assert HOSTILE in texts(svg)


def test_nothing_tells_when_or_by_what_it_was_drawn():
    for svg in drawings().values():
        assert "<metadata" not in svg
        assert "matplotlib" not in svg.lower().replace("http://matplotlib.org/", "")


def test_drawings_on_one_page_share_no_id_but_of_equal_things():
    meant: dict[str, str] = {}
    for svg in drawings().values():
        own = {
            found.attrib["id"]: ET.tostring(found, encoding="unicode")
            for found in ET.fromstring(svg).iter()  # noqa: S314 - ours
            if "id" in found.attrib
        }
        assert set(re.findall(r'(?:url\(|href=")#([^")]+)', svg)) <= set(own)
        for name, element in own.items():
            assert meant.setdefault(name, element) == element


def test_drawing_leaves_no_trace_in_the_settings_of_the_process():
    before = dict(mpl.rcParams)
    drawings()
    assert dict(mpl.rcParams) == before


def test_settings_of_the_user_change_no_drawing():
    plain = bars(ESTIMATES, label="NDCG@10")
    with mpl.rc_context({"font.size": 30, "axes.grid": True}):
        assert bars(ESTIMATES, label="NDCG@10") == plain


def test_one_bar_stands_out_and_only_that_one():
    assert bars(ESTIMATES, label="x", accent="hybrid").count(f"fill: {ACCENT}") == 1
    assert f"fill: {ACCENT}" not in bars(ESTIMATES, label="x")


def test_a_part_too_small_for_its_percentage_goes_without():
    assert texts(shares({"all": {"much": 0.97, "little": 0.03}}, label="%")).count("3") == 0


@pytest.mark.parametrize("n", [2, 6, 9])
def test_names_of_points_that_fall_together_do_not(n):
    """In the file a text's y tells its line; x is the same where sides are."""
    svg = scatter({f"model {i}": (0.5, 0.5) for i in range(n)}, labels=("x", "y"))
    places = {
        found.attrib.get("transform", "") + found.attrib.get("x", "") + found.attrib.get("y", "")
        for found in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314 - ours
        if "model" in "".join(found.itertext())
    }
    assert len(places) == n


def test_a_bound_that_rounding_put_past_the_mean_draws_no_negative_error():
    assert Estimate(0.1, 0.1 + 1e-17, 0.1 - 1e-17).error == (0, 0)


def test_exact_numbers_have_no_whiskers():
    exact, bounded = Estimate(0.5), Estimate(0.5, 0.4, 0.5)
    drawn = [bars({"a": estimate}, label="score").count("<use") for estimate in (exact, bounded)]
    assert drawn[0] == drawn[1] - 2
