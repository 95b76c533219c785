"""Texts as vectors, from whichever provider works on this machine."""
