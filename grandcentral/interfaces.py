"""The seams. Each says what "fired" means, what is idempotent, and every failure; contract suites in tests/ hold all
implementations, the fakes among them, to what is said here.

A long module, because what is promised takes more words than how it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from .core.history import Start
from .core.keys import Key
from .core.model import (
    App,
    Endpoint,
    Found,
    Hook,
    Launch,
    LogTail,
    Progress,
    ReadyPolicy,
    StackSnapshot,
    Usage,
    Version,
)
from .core.pressure import Memory
from .core.provisions import Provision
from .core.tickets import Ticket
from .core.wanted import Wanted
from .errors import Mishap

Vanished = Callable[[Key, int, Mishap], None]
Report = Callable[[Progress], None]

# mypy-zope reads these signatures; zope's methods take no self.


class IBackend(Interface):
    """Where stacks run. All calls are about whole stacks, named by their Key.

    Calls about one key never overlap: the stack's own lock sees to that. Calls about different keys do.
    Every call can fail with errors.EngineUnavailable; then nothing is known of what it did.
    """

    name = Attribute("""What the configuration calls it: "docker".""")

    def open() -> Deferred[None]:
        """Get ready to be used; fires with None even if the engine does not answer yet (reconnecting is our business).

        After it, and until ``close``, ``vanished`` (see ``watch``) is called as things happen.
        """

    def close() -> Deferred[None]:
        """Let go of every resource of ours; the stacks stay as they are. Fires when no thread or timer of ours is left."""

    def watch(vanished: Vanished, returned: Callable[[], None]) -> None:
        """Say where facts go; called once, before ``open``.

        vanished(key, generation, mishap): a launched stack lost a service that should run; mishap says which and has its
        last log lines. At most once for each launch. Not called for what ``halt`` takes away.
        returned(): the engine answers again after an absence: what was known may be stale, ``survey`` again.
        """

    def launch(launch: Launch, report: Report) -> Deferred[Endpoint]:
        """Create and start every service of ``launch.spec`` in the order of ``depends_on``: loaders have completed, health
        checks that somebody waits for (and that of the serving service) have passed.

        :param launch: a core.model.Launch. Nothing of the key is running before it: the caller halts first.
        :param report: called with core.model.Progress as things happen.
        :return: Deferred firing with the Endpoint to connect to. "Launched" is not "ready": nobody may listen there yet.
            Fails with a Mishap (ImageUnavailable, ServiceExited, ServiceUnhealthy, EngineRefused, EngineUnavailable) with
            the last log lines; what was created by then stays until ``halt``.
            ``cancel()`` gives up as soon as the step under way allows it: when the Deferred has fired, nothing more
            will be created.
        """

    def stop(key: Key) -> Deferred[None]:
        """Stop every service, those that others depend on last, each with its stop_grace_period, from whatever condition they
        are in (paused, too). Containers with their data, networks, volumes and the work tree stay. Idempotent.

        :return: Deferred firing with None when nothing of the stack runs; at once for one that is not there.
        """

    def restart(launch: Launch, report: Report) -> Deferred[Endpoint]:
        """Start every service of a stack that was stopped again, as it was made and in the order of ``depends_on``; loaders
        that have completed are not run again, health checks are waited for as by ``launch``. Its generation stays.

        Fires, fails and is cancelled like ``launch``. Fails with errors.NothingKept, having started nothing, where the stack is
        not there or not all of it: then it can only be launched anew.
        """

    def halt(key: Key, grace: bool, volumes: bool = False) -> Deferred[None]:
        """Stop and remove everything of the stack, whatever its generation or condition. Idempotent.

        :param grace: whether services get their stop_grace_period; otherwise they are killed.
        :param volumes: whether to remove named volumes that the template does not call disposable as well: the next launch
            finds them again otherwise.
        :return: Deferred firing with None when nothing else is left: no service, network, anonymous volume or work tree.
        """

    def execute(key: Key, hook: Hook, within: float) -> Deferred[None]:
        """Run a command line in a service that runs, with that service's environment. Fires with None if it exits with 0.

        Fails with errors.HookFailed, with its last lines, if it exits otherwise, takes longer than ``within`` seconds (then it
        is killed, as far as the backend can), or cannot be run. ``cancel()`` gives it up.
        """

    def usage() -> Deferred[Mapping[Key, Usage]]:
        """What every stack that is there takes, by the accounts of whatever runs it: a mapping of Key to core.model.Usage."""

    def fetch(launch: Launch, report: Report) -> Deferred[None]:
        """Have at hand what ``launch`` would have to fetch first, and start nothing. Fires with None. Fails like ``launch``."""

    def reclaim(keep: Collection[Version]) -> Deferred[int]:
        """Free disk: remove what was fetched for versions other than ``keep`` and is of no stack that is there, stopped or not.

        :return: Deferred firing with the bytes that were freed. Nothing that was not fetched for an app of ours is touched.
        """

    def volumes() -> Deferred[Collection[Key]]:
        """Of which stacks, there or not, there are named volumes that outlive them. Fires with their Keys."""

    def pause(key: Key) -> Deferred[None]:
        """Freeze a running stack: it keeps its memory and takes no CPU. Fires with None when frozen. Idempotent."""

    def resume(key: Key) -> Deferred[Endpoint]:
        """Thaw it. Fires with the Endpoint, when every service runs again. Idempotent. Fails with a Mishap when it has gone."""

    def survey() -> Deferred[tuple[Found, ...]]:
        """Everything of ours that is there, complete or not: a tuple of core.model.Found. Idempotent, changes nothing
        but our own memory: whole stacks found are watched (``vanished``) from now on as if launched by us."""

    def logs(key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        """The last ``lines`` lines of each service: a tuple of core.model.LogTail; empty for a stack that is not there."""

    def check() -> Deferred[None]:
        """Fires with None if the engine answers; fails with errors.EngineUnavailable, which says why."""


class IVersions(Interface):
    """Which versions of one app exist. One instance for each app."""

    def resolve(name: str) -> Deferred[Version]:
        """Fires with the core.model.Version of that spelling; its ``name`` is the canonical one.

        :param name: what the client typed, already valid in form: lower-case hex for "git-hash".
        Fails with UnknownVersion (it is known not to exist), AmbiguousVersion, RegistryUnavailable (not known).
        A version that was resolved once still resolves while the registry is away. Answers are cached.
        """

    def head(name: str) -> Deferred[Version]:
        """Fires with the Version that a name of the app's ``warm`` list stands for now: for "git-hash", the newest that is
        known of the branch ``name``; else the version of that name. Fails like ``resolve``.
        """

    def pushed(name: str) -> None:
        """Somebody says that there is a version of this name, perhaps a new one: answers about it are stale. Cheap."""

    def close() -> Deferred[None]:
        """Give up what is being looked up and close every connection. Fires with None. Idempotent."""


class IManifest(Interface):
    """What must survive a restart. Writes are ordered and durable when fired. Times are seconds since the epoch (wall clock).
    What was not needed for very long is forgotten (manifests.retention says when); what is pinned is not.

    Fails with sqlite3 errors only; callers on the request path go on without it and log.
    """

    def open() -> Deferred[None]:
        """Create or migrate the database (with a backup first). Fails with a clear error for one from a newer version."""

    def close() -> Deferred[None]:
        """Finish what is queued and close."""

    def remember_version(app: str, version: Version) -> Deferred[None]:
        """Note a resolved Version of app; the newest digest of a name replaces the older."""

    def known_versions(app: str, name: str) -> Deferred[tuple[Version, ...]]:
        """Known Versions of app whose name equals, begins, or is begun by ``name``: a tuple, longest name first."""

    def newest(app: str, branch: str) -> Deferred[Version | None]:
        """Of the known Versions of app that were built from ``branch``, the one created last; of those whose age is not known,
        the one remembered last. None if there is none."""

    def pin(key: Key, pinned: bool, until: float | None = None) -> Deferred[None]:
        """Set or clear a pin; the last one set counts. ``until``: wall seconds at which it ends; None: never. Idempotent."""

    def pins() -> Deferred[dict[Key, float | None]]:
        """The pinned Keys, and until when: a dict. Pins that have ended may be among them."""

    def touch(used: Mapping[Key, float]) -> Deferred[None]:
        """Note last uses: a mapping of Key to wall seconds."""

    def last_used() -> Deferred[dict[Key, float]]:
        """A dict of Key to wall seconds."""

    def record_start(start: Start) -> Deferred[None]:
        """Add to the history of starts."""

    def starts(key: Key, limit: int) -> Deferred[tuple[Start, ...]]:
        """The newest ``limit`` starts of a key, newest first: a tuple of core.history.Start."""

    def provision(wanted: Provision) -> Deferred[Provision]:
        """Write the row ``wanted``, unless there is one of its key, or one that the same ``request`` has made.

        :return: Deferred firing with the Provision that is there now: ``wanted`` itself, or the one that was there before.
        """

    def provisioned(key: Key) -> Deferred[Provision | None]:
        """The row of that key, over or not; None if there is none."""

    def provisions() -> Deferred[tuple[Provision, ...]]:
        """Every row, in the order of keys: a tuple."""

    def provisions_over(now: float) -> Deferred[tuple[Provision, ...]]:
        """The rows that have expired by ``now``, wall seconds, and those that are being taken back: a tuple."""

    def prolong(key: Key, expires: float | None) -> Deferred[None]:
        """Set when the row of that key ends. Nothing happens where there is none. Idempotent."""

    def end_provision(key: Key, over: float | None = None) -> Deferred[bool]:
        """Say of the row of that key that it is being taken back. Fires with whether it is. Idempotent.

        :param over: wall seconds: only if its end is not later than that, or it is being taken back already.
        """

    def forget_provision(key: Key) -> Deferred[None]:
        """Remove a row that is being taken back; others stay. Idempotent."""

    def check() -> Deferred[None]:
        """Fires with None if it can be used; fails as every other call would."""


class IStacks(Interface):
    """The stack table as a frontend sees it, whichever side of a socket the table is on."""

    def peek(key: Key) -> Ticket | None:
        """The core.tickets.Ticket of a stack that is ready, else None. No Deferred, no allocation: the hot path."""

    def ensure(key: Key, wakes: bool = True, client: str = "") -> Deferred[Ticket]:
        """Wake the stack if need be. Each caller gets a Deferred of his own, firing with a Ticket.

        :param wakes: otherwise a stack that sleeps goes on sleeping, and the caller gets Asleep.
        :param client: who asks, by address, for limits on what one client may start; "": nobody who is counted.
        Fails with an errors.Refusal. Cancelling it gives up the caller's place and nothing else: a start goes on.
        When it fires, the caller must call ``ticket.begin()`` synchronously, or the stack may be put to sleep.
        """

    def lost(ticket: Ticket) -> None:
        """The endpoint of this ticket refuses connections or has vanished: check on it. Cheap; may be called often."""

    def progress(key: Key) -> tuple[str, float] | None:
        """What a client who waits may be told: (text, seconds since the start began), or None if nothing is starting."""


class ISharedStacks(IStacks):
    """The stack table as it is shared with other processes, which count use on tickets of their own and report it here."""

    on_close = Attribute("""Called with a Ticket when its stack is no longer to be used at its endpoint.""")
    on_drain = Attribute("""Called with a Ticket before its stack is put to sleep: a Deferred of whether nobody uses it.""")

    def ticket(key: Key, generation: int) -> Ticket | None:
        """The Ticket of that generation, to count use on; open or not."""

    def surveyed(app: str) -> bool:
        """Whether it is known what runs of this app: not while the engine that runs it has yet to answer."""


class IStackControl(Interface):
    """The stack table as an operator sees it. Fails with errors.Refusal, and with KeyError for an app that is not there."""

    def snapshot() -> tuple[StackSnapshot, ...]:
        """A tuple of core.model.StackSnapshot: every stack that is not cold, and every pinned one."""

    def start(key: Key) -> Deferred[Ticket]:
        """Like IStacks.ensure, but a failure that is remembered is forgotten first."""

    def stop(key: Key, force: bool = False) -> Deferred[None]:
        """Stop it, busy or not; fires with None when nothing of it runs. Idempotent. Those who wait for it get StackStopped.

        Its data is kept, if it was ever ready. Its before_stop commands are run first, unless ``force``; fails with NotSaved,
        and the stack runs on, if one of them fails.
        """

    def remove(key: Key, volumes: bool = False) -> Deferred[None]:
        """Stop it if need be, without its before_stop commands, and remove it; ``volumes`` as for IBackend.halt. Idempotent."""

    def pin(key: Key, pinned: bool, until: float | None = None) -> Deferred[None]:
        """Pinned stacks are never stopped for being idle or to make room. Fires with None when that is durable.

        :param until: wall seconds at which the pin ends; None: never.
        """

    def logs(key: Key, lines: int) -> Deferred[tuple[LogTail, ...]]:
        """What its services have printed last, as IBackend.logs has it; empty for a stack of which nothing is there."""

    def capacity() -> tuple[int, int]:
        """(slots taken, max_stacks)."""


class IProvisioning(Interface):
    """Who may have a stack of the apps that are provisioned. Fails with errors.Refusal."""

    def apps() -> Mapping[str, App]:
        """The core.model.App of each app that is provisioned, by name."""

    def provision(wanted: Wanted) -> Deferred[tuple[Provision, bool]]:
        """Let a user have a stack. Starts nothing. Idempotent.

        :param wanted: a core.wanted.Wanted, of one of ``apps``.
        :return: Deferred firing with the Provision that there is now, and whether this call has made it, or one with the same
            Idempotency-Key. Fails with ProvisionedOtherwise, RequestReused, StillThere, or ManifestUnavailable.
        """

    def deprovision(key: Key) -> Deferred[bool]:
        """Take it back: from now on nothing starts, and its stack is stopped and removed with all its volumes. Idempotent.

        :return: Deferred firing when nothing is left, with whether it was there. Should the gateway end before that, the next
            one sees it through.
        """

    def find(key: Key) -> Deferred[Provision]:
        """Fails with NotProvisioned for one that is not there, or over."""

    def provisions() -> Deferred[tuple[Provision, ...]]:
        """All, those among them that are over and still being removed."""


class IMachine(Interface):
    """The machine, as far as stacks share it. Reads what the kernel has at hand: at once, and no Deferred.

    What cannot be read is None, and is logged when that begins.
    """

    def memory() -> Memory | None:
        """The core.pressure.Memory that there is for stacks and everything else here."""

    def disk_free() -> int | None:
        """Bytes that are free for us on the fullest of the disks that stacks are kept on."""


class IProber(Interface):
    """Asks a stack whether it is ready, over a real socket."""

    def probe(endpoint: Endpoint, policy: ReadyPolicy, host: str, timeout: float) -> Deferred[None]:
        """One attempt. Fires with None if it answers as ``policy`` (a ReadyPolicy) asks; fails with NotReady saying what
        happened instead, after ``timeout`` seconds at the latest. Leaves no connection open."""
