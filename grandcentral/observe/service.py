"""A service that brings its own way of logging to the application that it becomes part of."""

from __future__ import annotations

from twisted.application.service import IServiceCollection, MultiService
from twisted.logger import ILogObserver
from twisted.python.components import Componentized


class LoggingService(MultiService):
    """Has twistd log through ``observer``, if there is one, unless twistd was given a ``--logger``.

    twistd asks the application for an observer after a plugin's service was put into it, and before that service starts.
    """

    def __init__(self, observer: ILogObserver | None = None) -> None:
        super().__init__()
        self._observer = observer

    def setServiceParent(self, parent: IServiceCollection) -> None:
        if self._observer is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._observer)
        super().setServiceParent(parent)
