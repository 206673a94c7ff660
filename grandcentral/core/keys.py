"""Keys: what a stack is called. Host, SNI or user name in; (app, name) out."""

from __future__ import annotations

from attrs import frozen


@frozen(order=True)
class Key:
    """The name of a stack: an app of the configuration and the name of a version, tenant or nothing."""

    app: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.app}/{self.name}" if self.name else self.app

    @classmethod
    def parse(cls, text: str) -> Key:
        """The inverse of ``str``: "quepid/db139cf" -> Key("quepid", "db139cf")."""
        app, _, name = text.partition("/")
        return cls(app, name)
