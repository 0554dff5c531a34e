"""Prompts as the families of models learnt to read them, one small file for each family."""
