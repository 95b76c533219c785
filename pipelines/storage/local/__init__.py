"""The parts of `pipelines.storage.local_servers`."""
