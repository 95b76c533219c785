"""The library: everything that needs neither Airflow nor BentoML."""
