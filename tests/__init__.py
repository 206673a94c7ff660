import pytest

pytest.register_assert_rewrite("tests.contracts")  # else a failed contract shows no values
