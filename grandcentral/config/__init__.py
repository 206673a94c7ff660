"""The configuration: one TOML file, checked whole against one schema, as a frozen value."""

from .configuration import Admin, Configuration, Docker, Gateway, Log, Provisioning, Registry, Webhooks
from .effective import effective
from .loading import load, load_admin

__all__ = [
    "Admin",
    "Configuration",
    "Docker",
    "Gateway",
    "Log",
    "Provisioning",
    "Registry",
    "Webhooks",
    "effective",
    "load",
    "load_admin",
]
