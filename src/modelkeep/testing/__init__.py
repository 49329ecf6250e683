"""Conformance suites for people who write adapters.

They import no test framework: each check is a function that raises AssertionError with the
reason. With pytest, parametrize one test over the tuple of checks.
"""
