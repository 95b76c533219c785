"""
What data must look like, as Great Expectations suites, and the report on whether it does.

Importing this package is cheap: Great Expectations, which takes seconds to import, is loaded when a
suite is built or run.
"""
