"""The formats that models are configured for by name, each family in a file of its own."""
