"""What scoring costs most, compiled: `scoring.c`, and in `native` the way to it."""
