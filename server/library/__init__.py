"""Services for installed models: list, show, pull, push."""
