"""The endpoints; each only decodes, calls a service and encodes."""
