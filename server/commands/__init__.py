"""Commands of `paddock` besides `serve`."""
