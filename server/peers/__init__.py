"""Other paddock servers (`PADDOCK_PEERS`): their models in lists, and requests handed to them."""
