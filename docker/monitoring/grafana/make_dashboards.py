"""Write the dashboards of `dashboards.yaml` as Grafana reads them; `make dashboards` calls it."""

import json
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
WIDTH, HEIGHT, A_ROW = 8, 8, 3
"""Of a panel, in Grafana's units, of which a row has 24; and panels in a row."""


def dashboard(name: str, told: dict[str, Any]) -> dict[str, Any]:
    """A dashboard, from its part of the table."""
    return {
        "uid": f"bookrec-{name}",
        "title": told["title"],
        "tags": ["bookrec"],
        "editable": False,
        "schemaVersion": 41,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "1m",
        "panels": [_panel(number, panel) for number, panel in enumerate(told["panels"])],
    }


def _panel(number: int, told: dict[str, Any]) -> dict[str, Any]:
    is_log = told.get("kind") == "logs"
    store = "loki" if is_log else "prometheus"
    row, column = divmod(number, A_ROW)
    return {
        "id": number + 1,
        "title": told["title"],
        "type": told.get("kind", "timeseries"),
        "datasource": {"type": store, "uid": store},
        "gridPos": {
            "x": 0 if is_log else column * WIDTH,
            "y": row * HEIGHT,
            "w": A_ROW * WIDTH if is_log else WIDTH,
            "h": HEIGHT,
        },
        "fieldConfig": {"defaults": {"unit": told.get("unit", "none"), "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": query, "legendFormat": legend}
            for place, (legend, query) in enumerate(told["queries"].items())
        ],
    }


def written() -> dict[Path, str]:
    """What is to stand in which file."""
    table = yaml.safe_load((HERE / "dashboards.yaml").read_text())
    return {
        HERE / "dashboards" / f"{name}.json": json.dumps(dashboard(name, told), indent=1) + "\n"
        for name, told in table.items()
    }


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text)
