"""Text formats of the API: durations, timestamps and quoted client text."""
