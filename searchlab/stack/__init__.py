"""The team stack on the machine that serves it: its secrets and its backups, by way of Docker's command line."""
