"""How fast it is: every performance goal as a command, measured beside other proxies in one run. See README.md."""
