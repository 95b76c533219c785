"""Erasing a reader, wherever something is kept of them."""
