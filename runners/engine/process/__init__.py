"""Runner process: the command socket, request intake and the loaded engine."""
