"""The one place where Great Expectations is imported and configured: in memory, silent, offline."""

import logging
import os
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from great_expectations.data_context.data_context.ephemeral_data_context import (
        EphemeralDataContext,
    )

SITE = "data_docs"


@cache
def load_great_expectations() -> ModuleType:
    """
    Import Great Expectations with telemetry off; 3 to 8 seconds the first time.

    Both settings are read, or write their first lines, while it is being imported.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    import great_expectations

    return great_expectations


def new_context(site_folder: Path) -> "EphemeralDataContext":
    """A context that keeps all in memory and renders pages into `site_folder`."""
    gx = load_great_expectations()
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
        ProgressBarsConfig,
    )

    defaults = InMemoryStoreBackendDefaults()
    defaults.stores[defaults.validation_results_store_name] |= {
        "module_name": "expectations.results_store",
        "class_name": "ValidationResultsStore",
    }
    config = DataContextConfig(
        store_backend_defaults=defaults,
        data_docs_sites={SITE: _site(site_folder)},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _site(folder: Path) -> dict[str, object]:
    module = "expectations.page_rendering"
    return {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(folder),
        },
        "site_section_builders": {
            "expectations": "None",  # a result page states its expectations anyway
            "profiling": "None",
            "validations": {
                "class_name": "DefaultSiteSectionBuilder",
                "renderer": {
                    "module_name": module,
                    "class_name": "ResultPageRenderer",
                    "run_info_at_end": True,
                    "column_section_renderer": {
                        "class_name": "ValidationResultsColumnSectionRenderer",
                        "table_renderer": {
                            "module_name": module,
                            "class_name": "ResultTableRenderer",
                        },
                    },
                },
                "view": {"module_name": module, "class_name": "OfflinePageView"},
            },
        },
    }
