"""Fuzz targets for atheris: parsers of files and texts that come from untrusted clients."""
