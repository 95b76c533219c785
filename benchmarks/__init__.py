"""Measurements: side by side in one run, so that ratios hold where seconds do not."""
