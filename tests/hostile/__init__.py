"""Hostile and careless methods, and that none of them hurts more than its own row."""

import pytest

pytest.register_assert_rewrite("tests.hostile.arena", "tests.hostile.refusals")
