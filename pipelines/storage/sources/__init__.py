"""Sources that need a database driver: here, since `pipelines.data` knows of none."""
