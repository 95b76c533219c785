"""Telling others what has happened: where to, how it is signed and sent, and when again."""
