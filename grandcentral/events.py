"""The vocabulary of log events: every name that is logged, with its sentence. Alphabetical; code logs a name and fields.

``log.info(events.STACK_READY, key=…, seconds=…)`` is the whole use of it: the text format is the sentence below, the JSON
format is the name and the fields.
"""

from __future__ import annotations

# Each constant is the format; observe/ finds the name by the format, so no two may be equal.
ADMIN_CALL = "{caller}: {call}: {status}"
ADMIN_LATE_FAILURE = "{verb} {key} was accepted, and failed later: {why}"
ASIDE_FAILED = "{key}: {why}"
BACKEND_LOST = "{backend} does not answer: {why}"
BACKEND_RETURNED = "{backend} answers again"
BUG = "incident {incident}: {what}"
GATEWAY_CANNOT_OPEN = "the gateway cannot open: {why}"
GATEWAY_CLOSED = "the gateway is closed; what runs is left running"
GATEWAY_OPEN = "Grand Central {version} serves {listen}; admin on {admin}"
JANITOR_FAILED = "the janitor could not deal with {key}"
LOGS_MISSING = "{key}: its last log lines could not be had: {why}"
LOG_UNBOUNDED = "the log {path} cannot be kept short: {why}"
MANIFEST_FAILED = "the manifest cannot be used, and {app} goes on without it: {why}"
PORT_TAKEN = "{key}: another process took port {port} first"
STACK_FOUND = "{key} was found running (generation {generation}, whole: {whole})"
STACK_GIVES_WAY = "{key} gives way to {to}"
STACK_IDLE = "{key} is idle: {step}"
STACK_MOVED = "{key}: {before} -> {after} ({news})"
STACK_OF_NO_APP = "{key} belongs to no app of this configuration and is removed"
STACK_READY = "{key} is ready after {seconds} s"
STACK_VANISHED = "{key} lost a service: {why}"
START_FAILED = "{key} did not start: {why} Next attempt in {retry} s at the earliest."
VERSION_FROM_MEMORY = "{app}/{name} is taken as it was last seen: {why}"
