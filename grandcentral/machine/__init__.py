"""What the machine has left: memory, disks."""

from .linux import LinuxMachine

__all__ = ["LinuxMachine"]
