"""Books for a text that somebody typed: by its words, forgiving in spelling, and by meaning."""
