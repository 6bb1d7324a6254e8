"""Public fixtures for tests of code that uses keystead."""

from keystead.testing.clock import ManualClock
from keystead.testing.conformance import check_root_key_provider

__all__ = ["ManualClock", "check_root_key_provider"]
