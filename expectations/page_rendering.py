"""
How Great Expectations draws a result page here; it loads these classes by name.

Its own pages load scripts, styles and a logo from six hosts and do not escape values of the data.
These load nothing and escape everything.
"""

import html
from typing import Any

from great_expectations.core import ExpectationSuiteValidationResult, ExpectationValidationResult
from great_expectations.render.components import (
    RenderedHeaderContent,
    RenderedStringTemplateContent,
    RenderedTableContent,
)
from great_expectations.render.renderer.content_block.validation_results_table_content_block import (  # noqa: E501 - its name
    ValidationResultsTableContentBlockRenderer,
)
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
from great_expectations.render.view.view import DefaultJinjaPageView
from jinja2 import ChoiceLoader, FileSystemLoader, pass_context

from expectations.data_docs import PACKAGE, stylesheet
from expectations.results import rule_of, severity_of


class ResultPageRenderer(ValidationResultsPageRenderer):
    """Lays out a page for one validation result."""

    @classmethod
    def _render_validation_header(
        cls, validation_results: ExpectationSuiteValidationResult
    ) -> RenderedHeaderContent:
        """Without the link to a page about the suite, which is not built."""
        failed = [result for result in validation_results.results if not result.success]
        total = len(validation_results.results)
        critical = any(severity_of(result) == "critical" for result in failed)
        state = "failed" if critical else "warned" if failed else "held"
        return RenderedHeaderContent(
            header=validation_results.suite_name.capitalize(),
            subheader=f"{total - len(failed)} of {total} expectations hold",
            styling={"header": {"classes": ["alert", state]}},
        )


class ResultTableRenderer(ValidationResultsTableContentBlockRenderer):
    """Lays out the expectations on one column, with how grave each is and what becomes of rows."""

    @classmethod
    def _process_content_block(
        cls,
        content_block: RenderedTableContent,
        has_failed_evr: bool,
        render_object: list[ExpectationValidationResult] | None = None,
    ) -> None:
        super()._process_content_block(content_block, has_failed_evr)
        content_block.header_row = ["Status", "Level", "Expectation", "Found", "Rows set aside as"]
        for row, result in zip(content_block.table, render_object or [], strict=True):
            for block in row[1] if isinstance(row[1], list) else []:
                _name_columns(block)
            row.insert(1, _badge(severity_of(result)))
            row.append(rule_of(result) or "")


class OfflinePageView(DefaultJinjaPageView):
    """Writes a page as HTML that loads nothing."""

    def __init__(self, **directories: Any) -> None:
        super().__init__(**directories)
        ours = FileSystemLoader(PACKAGE / "templates")
        theirs = [self.env.loader] if self.env.loader else []
        self.env.loader = ChoiceLoader([ours, *theirs])
        self.env.globals["stylesheet"] = stylesheet()

    @pass_context
    def render_content_block(
        self, jinja_context: Any, content_block: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """Escape what is not markup yet: whatever is neither a block nor a list of blocks."""
        if isinstance(content_block, list):
            escaped = [item if _is_block(item) else _escaped(item) for item in content_block]
            return super().render_content_block(jinja_context, escaped, *args, **kwargs)
        if not _is_block(content_block):
            return _escaped(content_block)
        return super().render_content_block(jinja_context, content_block, *args, **kwargs)


def _is_block(content: object) -> bool:
    return isinstance(content, dict) and "content_block_type" in content


def _escaped(content: object) -> str:
    return "" if content is None else html.escape(str(content))


def _name_columns(block: object) -> None:
    """Speak of rows rather than of an index; counts within a sample would only mislead."""
    if not isinstance(block, RenderedTableContent):
        return
    first, *others = block.header_row or [""]
    sampled = first.startswith("Sampled")
    if sampled and "Count" in others:
        block.table = [[cells[0], *cells[2:]] for cells in block.table]
        others.remove("Count")
    names = {"Index": "Row", "Count": "Times"}
    block.header_row = ["For example" if sampled else "Found", *(names.get(o, o) for o in others)]


def _badge(text: str) -> RenderedStringTemplateContent:
    styling = {"classes": ["badge", text]}
    return RenderedStringTemplateContent(string_template={"template": text, "styling": styling})
