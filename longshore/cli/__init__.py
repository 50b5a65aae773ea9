"""The command line: one module for each command or noun. Heavy imports stand inside the commands."""
