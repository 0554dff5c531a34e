"""The ways in which models write calls, each read and written in one place."""
