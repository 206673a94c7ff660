"""One suite per interface; the real thing and its fakes pass the same one."""
