"""The official `ollama` package, imported without OLLAMA_HOST.

It makes a client for that address when it is imported, and the import fails for addresses that the
server takes: several of them, IPv6 without brackets, blanks around one. Commands import it from
here, because they read the variable themselves and say what is wrong with it.
"""

from server.client import environment

with environment.without_host():
    import ollama

__all__ = ["ollama"]
