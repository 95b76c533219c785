"""The report as people get it: an index and one page a table, complete in themselves."""

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from expectations.errors import DataDocsError
from expectations.results import SuiteResult

PACKAGE = Path(__file__).parent


def stylesheet() -> str:
    """The style of every page, to be written into it."""
    return (PACKAGE / "data_docs.css").read_text(encoding="utf-8")


def publish(
    site: Path,
    docs_folder: Path,
    results: Mapping[str, SuiteResult],
    *,
    run_name: str,
    run_time: datetime,
) -> None:
    """
    Put the rendered pages of `site` side by side and an index before them.

    Raises:
        DataDocsError: a page is missing because it could not be rendered.
    """
    docs_folder.mkdir(parents=True, exist_ok=True)
    for name in results:
        shutil.copyfile(_page(site, name), docs_folder / f"{name}.html")
    index = _index(results, run_name=run_name, run_time=run_time)
    (docs_folder / "index.html").write_text(index, encoding="utf-8")


def _page(site: Path, name: str) -> Path:
    pages = list((site / "validations" / name).rglob("*.html"))
    if len(pages) != 1:
        raise DataDocsError(
            f"the page about {name} could not be rendered; the log of great_expectations says why"
        )
    return pages[0]


def _index(results: Mapping[str, SuiteResult], *, run_name: str, run_time: datetime) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # comes with the suites

    environment = Environment(
        loader=FileSystemLoader(PACKAGE / "templates"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("index.j2").render(
        results=results, run_name=run_name, run_time=run_time, stylesheet=stylesheet()
    )
