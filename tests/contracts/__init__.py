"""One suite per interface; the real thing and its fakes pass the same one."""

import pytest

pytest.register_assert_rewrite("tests.contracts")
