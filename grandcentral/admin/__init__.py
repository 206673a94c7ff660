"""The admin listener: health, statistics, and the operator's hand on the stacks."""

from .site import AdminSite as AdminSite
