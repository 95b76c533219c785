"""What tests of `docker/monitoring` share: its files, its queries, and what queries ask for."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser
import yaml

from tests.deployment import DOCKER

MONITORING = DOCKER / "monitoring"
DASHBOARDS = MONITORING / "grafana" / "dashboards"
FROM_OTHERS = ("up", "node_", "pg_", "redis_", "alertmanager_", "prometheus_")
"""How metrics begin that tests/e2e/test_monitoring.py looks for at those who have them."""


@dataclass(frozen=True)
class Selector:
    """Part of a query that picks series: of one metric, by labels."""

    where: str
    """The rule or panel of the query."""
    metric: str
    labels: frozenset[str]


def read_yaml(name: str) -> Any:
    """A file of the folder."""
    return yaml.safe_load((MONITORING / name).read_text())


def rules() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for group in read_yaml("alerts.yml")["groups"] for rule in group["rules"]]


def dashboards() -> dict[str, dict[str, Any]]:
    """Every dashboard, by the name of its file."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def queries() -> dict[str, str]:
    """Every PromQL query, by who asks it."""
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                if panel["datasource"]["type"] == "prometheus":
                    found[f"{name}: {panel['title']}: {target['refId']}"] = target["expr"]
    return found


def selectors(where: str, query: str) -> Iterator[Selector]:
    """
    What a query asks for.

    Raises:
        ValueError: it is no PromQL.
    """
    found: list[Selector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            node = node.vector_selector
        if isinstance(node, promql_parser.VectorSelector):
            labels = frozenset(matcher.name for matcher in node.matchers.matchers)
            found.append(Selector(where, node.name or "", labels - {"__name__"}))

    # Grafana's own variable, which is a duration wherever we use it.
    promql_parser.walk(promql_parser.parse(query.replace("$__rate_interval", "5m")), visit)
    yield from dict.fromkeys(found)
