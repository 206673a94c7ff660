"""pytest on our uvloop reactor: ``python -m tests.on_uvloop tests/relay ...``.

No option of pytest's, because the reactor has to be there before the first conftest.py is read.
"""

from __future__ import annotations

import sys
from functools import partial

from grandcentral.reactors import LoopReactor, install

if __name__ == "__main__":
    install()
    import pytest
    import pytest_twisted

    pytest_twisted.reactor_installers["default"] = partial(
        pytest_twisted._install_reactor, reactor_installer=install, reactor_type=LoopReactor
    )
    sys.exit(pytest.main(sys.argv[1:]))
