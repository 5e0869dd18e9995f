from tests.views.conftest import folder, hostile

__all__ = ["folder", "hostile"]
