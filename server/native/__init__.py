"""The native API: between its own objects and what every API asks of a model."""
