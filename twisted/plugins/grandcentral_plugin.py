"""Makes ``twistd grandcentral`` and ``twistd --reactor=uvloop`` known.

There is no __init__.py beside this file, and must not be: it would be Twisted's.
"""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

grandcentral = ServiceMaker(
    "Grand Central", "grandcentral.service", "Every version has a URL; the first request boots it.", "grandcentral"
)

uvloop = Reactor("uvloop", "grandcentral.reactors", "uvloop, with its own TCP connections.")
