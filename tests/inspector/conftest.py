from tests.report.conftest import folder, hostile

__all__ = ["folder", "hostile"]
