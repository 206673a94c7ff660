"""The real parts that the functional tests run against: a Docker engine, an image registry, a browser.

An engine that is already there (``DOCKER_HOST``, or /var/run/docker.sock) is used as it is. Otherwise, as root on Linux, a
private one is started beside whatever else runs on the machine, with a bridge, addresses and firewall rules of its own.
A separate process, the keeper, owns what was started and takes it all down when the tests end, however they end.

By hand: ``python -m tests.testbed install | up | env | down``. In tests: the fixtures of ``tests.testbed.fixtures``.
"""
