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

every volume besides

================================  =====================================================================================
``grandcentral.disposable``       ``true``: it goes with its stack; ``false``: the next start of the stack finds it again
================================  =====================================================================================

and every container

=================================  ====================================================================================
label                              what it says
=================================  ====================================================================================
``grandcentral.service``           its service
``grandcentral.services``          all services of the stack in waves of their order, tasks marked: ``db | load:task | web``
``grandcentral.serves``            the service and port that requests go to: ``web:3000``
``grandcentral.version``           the canonical name of the version
``grandcentral.image``             the version's image as it was resolved
``grandcentral.digest``            the digest that was started; absent if it was not known
``grandcentral.commit``            the version's commit; absent if it was not known
``grandcentral.branch``            the branch that it was built from; absent if it was not known
``grandcentral.built``             when it was built, in seconds since the epoch; absent if it was not known
``grandcentral.created``           when the container was made, RFC 3339, UTC
``com.docker.compose.service``     its service
``com.docker.compose.oneoff``      ``False``; ``True`` for a task
``com.docker.compose.depends_on``  what it waits for: ``db:service_healthy:false,load:service_completed_successfully:false``
=================================  ====================================================================================

What is worth knowing before changing something here:

* docker-py blocks and its clients must not be shared between threads. ``calls.py`` has a bounded pool of threads for each
  class of call, with a client for each thread; ``verbs.py`` is what runs in them. Everything else runs in the reactor.
* Containers are created with Docker's own health check off and its restart policy ``no``. Health checks are run by us, at
  start-up pace and only until they pass: the engine's would run for ever, at 30 s intervals, three events each. A service
  that dies is a fact for the gateway to judge; an engine that restarted it would bring it back on another address, behind
  the back of the gateway and after the gateway had decided to stop it.
* A stack that was stopped is started again as its containers say it was made (``kept.py``), not as the template would make
  it now: that is for the next launch. Only how health is checked is not in the containers, and is taken from the template.
* A service that dies, by itself or because somebody restarted it, makes its stack count as vanished, whatever becomes of
  the container afterwards. That somebody else's restart changes addresses is therefore never a question.
"""

from .backend import DockerBackend

__all__ = ["DockerBackend"]
