"""The vocabulary of log events: every name that is logged, with its sentence. Alphabetical; code logs a name and fields.

``log.info(events.STACK_READY, key=…, seconds=…)`` is the whole use of it: the text format is the sentence below, the JSON
format is the name and the fields.
"""

from __future__ import annotations

# Each constant is the format; observe/ finds the name by the format, so no two may be equal.
BACKEND_LOST = "{backend} does not answer: {why}"
BACKEND_RETURNED = "{backend} answers again"
BUG = "incident {incident}: {what}"
