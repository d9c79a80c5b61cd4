"""Puts the pages into the application."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import FastAPI
from fastapi.responses import RedirectResponse

from lake_platform.api.pages import actions, dataset, incident, login, overview
from lake_platform.api.pages.docs import add_docs
from lake_platform.api.pages.render import Pages
from lake_platform.api.pages.session import PATH, Sessions
from lake_platform.api.parts import Parts
from lake_platform.settings import Settings


def add_pages(app: FastAPI, settings: Settings, parts: Parts) -> None:
    app.state.pages = Pages(Sessions(app.state.tokens, parts.clock), settings.dagster_ui)
    for module in (login, overview, incident, dataset, actions):
        app.include_router(module.router)
    app.add_api_route(
        "/", lambda: RedirectResponse(PATH, HTTPStatus.SEE_OTHER), include_in_schema=False
    )
    add_docs(app)
