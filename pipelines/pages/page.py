"""Pages complete in themselves: sections of sentences, charts and tables, in the house's style."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from expectations.data_docs import stylesheet
from pipelines.pages.charts import GRID, INK

PACKAGE = Path(__file__).parent


@dataclass(frozen=True)
class Chart:
    """A picture, and what it says in one sentence."""

    title: str
    says: str
    svg: str
    """An SVG document, as `pipelines.pages.charts` draws it."""

    @property
    def inline(self) -> Markup:
        """The drawing alone, its text and its lines in the colours of the page."""
        drawing = self.svg[self.svg.index("<svg") :]
        coloured = drawing.replace(INK, "var(--ink)").replace(GRID, "var(--faint)")
        return Markup(coloured)  # noqa: S704 - labels were escaped when it was drawn


@dataclass(frozen=True)
class Table:
    """Cells as they are to be read; the first column names the row."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = False
    """Whether it is shown only to those who open it."""


@dataclass(frozen=True)
class Section:
    """What one part of a page is about; anything but the title may be left out."""

    title: str
    text: Sequence[str] = ()
    """Paragraphs, before all else."""
    charts: Mapping[str, Chart] = field(default_factory=dict)
    """By a name that is fit for a file."""
    table: Table | None = None
    links: Mapping[str, str] = field(default_factory=dict)
    """By what they are called, where they lead, relative to the page; after all else."""


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    run_id: str
    date: datetime
    """When what it tells of was done, in UTC; rather than when it was written."""
    sections: Sequence[Section]
    subject: str = "Run"
    """What `run_id` is the name of."""

    @property
    def charts(self) -> dict[str, Chart]:
        """All of them, by name."""
        return {name: c for section in self.sections for name, c in section.charts.items()}

    def html(self) -> str:
        """The page; it loads nothing."""
        environment = Environment(
            loader=FileSystemLoader(PACKAGE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        style = stylesheet() + (PACKAGE / "page.css").read_text(encoding="utf-8")
        return environment.get_template("page.j2").render(page=self, stylesheet=Markup(style))  # noqa: S704 - ours

    def write(self, folder: Path, name: str) -> None:
        """Write `<name>.html`, and each chart beside it as `<chart>.svg`."""
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.html").write_text(self.html(), encoding="utf-8")
        for chart_name, chart in self.charts.items():
            (folder / f"{chart_name}.svg").write_text(chart.svg, encoding="utf-8")
