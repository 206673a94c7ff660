"""Compose files as templates of stacks: the subset of the Compose specification that docs/compose.md states."""

from __future__ import annotations

from .documentation import PROVISIONED, VARIABLES, markdown
from .keys import FLAGS
from .stack import SAMPLE, ComposeTemplate, template

__all__ = ["FLAGS", "PROVISIONED", "SAMPLE", "VARIABLES", "ComposeTemplate", "markdown", "template"]
