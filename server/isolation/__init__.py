"""Worker processes for untrusted input, limited in memory and CPU time."""
