"""Protocol of runner processes: messages between server and runner, and their framing."""
