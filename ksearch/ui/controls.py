"""What the live page has beyond the report: replay, steering, and the command that runs again from here."""

from __future__ import annotations

from importlib import resources

from ksearch.report.page.render import Extension


def _asset(name: str) -> str:
    return resources.files("ksearch.ui").joinpath("assets", name).read_text("utf-8")


CONTROLS = Extension(script=_asset("controls.js"), style=_asset("controls.css"))
