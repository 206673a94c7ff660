"""Opening hours: when an app may be started."""

from __future__ import annotations

from attrs import frozen


@frozen
class Hours:
    """``text`` is as it was written: "Mon-Fri 07:00-20:00 Europe/Berlin"."""

    text: str
