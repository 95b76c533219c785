"""What every test may use."""

pytest_plugins = ["tests.servers", "tests.pipeline_runs", "tests.packages"]
