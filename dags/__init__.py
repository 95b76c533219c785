"""Airflow's entrance: wiring alone. The work is in `pipelines.stages`."""
