"""Blob downloads: resumable parts, verification and publishing into the store."""
