"""Create models from uploaded files or an installed model, with layers added and replaced."""

from model_store.create.build import create_model
from model_store.create.spec import CreateProgress, CreateSpec
from model_store.create.tools import Engine, Tools

__all__ = ["CreateProgress", "CreateSpec", "Engine", "Tools", "create_model"]
