"""What callers prove themselves with, as plain values."""
