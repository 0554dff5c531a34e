"""How the models that paddock brings along are made: corpus, training, export and evaluation."""
