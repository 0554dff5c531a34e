"""Tiny model files in llama.cpp's form and in legacy layouts, of the same random weights."""
