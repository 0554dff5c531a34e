"""Interpreter for Go's text/template language, as far as chat templates use it."""
