"""Stacks as containers on one Docker engine.

**Labels are the database of what runs.** Every container, network and volume that is made here carries

================================  =====================================================================================
label                             what it says
================================  =====================================================================================
``grandcentral.managed``          ``true``
``grandcentral.gateway``          which gateway made it; another gateway on the same engine leaves it alone
``grandcentral.app``              the app of its stack's key
``grandcentral.name``             the name of its stack's key: version or tenant; may be empty
``grandcentral.generation``       which start of the stack made it
``com.docker.compose.project``    the stack, in a form that Compose accepts: ``docker compose ls`` groups by it
================================  =====================================================================================

and every container besides

================================  =====================================================================================
label                             what it says
================================  =====================================================================================
``grandcentral.service``          its service
``grandcentral.services``         all services of the stack in waves of their order, tasks marked: ``db | load:task | web``
``grandcentral.serves``           the service and port that requests go to: ``web:3000``
``grandcentral.version``          the canonical name of the version
``grandcentral.image``            the version's image as it was resolved
``grandcentral.digest``           the digest that was started; absent if it was not known
``grandcentral.commit``           the version's commit; absent if it was not known
``grandcentral.created``          when, RFC 3339, UTC
``com.docker.compose.service``    its service
``com.docker.compose.oneoff``     ``False``; ``True`` for a task
================================  =====================================================================================

What is worth knowing before changing something here:

* docker-py blocks and its clients must not be shared between threads. ``calls.py`` has a bounded pool of threads for each
  class of call, with a client for each thread; ``verbs.py`` is what runs in them. Everything else runs in the reactor.
* Containers are created with Docker's own health check off and its restart policy ``no``. Health checks are run by us, at
  start-up pace and only until they pass: the engine's would run for ever, at 30 s intervals, three events each. A service
  that dies is a fact for the gateway to judge; an engine that restarted it would bring it back on another address, behind
  the back of the gateway and after the gateway had decided to stop it.
* A service that dies, by itself or because somebody restarted it, makes its stack count as vanished, whatever becomes of
  the container afterwards. That somebody else's restart changes addresses is therefore never a question.
"""

from .backend import DockerBackend

__all__ = ["DockerBackend"]
