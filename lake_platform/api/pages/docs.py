"""`/docs` and `/redoc` without a word to another host: the package fastapi-offline brings the
files."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles

_FILES = Path(fastapi_offline.__file__).parent / "static"
_PREFIX = "/docs-static"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


def add_docs(app: FastAPI) -> None:
    """The application must be made without its own pages of this name."""
    app.mount(_PREFIX, StaticFiles(directory=_FILES), name="docs-static")
    icon = f"{_PREFIX}/favicon.png"
    swagger = get_swagger_ui_html(
        openapi_url="/openapi.json", title=f"{app.title}: API",
        swagger_js_url=f"{_PREFIX}/swagger-ui-bundle.js",
        swagger_css_url=f"{_PREFIX}/swagger-ui.css", swagger_favicon_url=icon,
    )  # fmt: skip
    redoc = get_redoc_html(
        openapi_url="/openapi.json", title=f"{app.title}: API",
        redoc_js_url=f"{_PREFIX}/redoc.standalone.js", redoc_favicon_url=icon,
        with_google_fonts=False,
    )  # fmt: skip
    for path, page in (("/docs", swagger), ("/redoc", redoc)):
        app.add_api_route(path, _answering(page), include_in_schema=False)


def _answering(page: HTMLResponse) -> Callable[[], HTMLResponse]:
    """Inline scripts are let in by what they say."""
    html = bytes(page.body).decode()
    digests = [hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(html)]
    inline = " ".join(f"'sha256-{base64.b64encode(d).decode()}'" for d in digests)
    policy = (
        f"default-src 'none'; script-src 'self' {inline}; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data:; connect-src 'self'; worker-src blob:; base-uri 'none'; "
        f"form-action 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
    return lambda: HTMLResponse(html, headers=headers)
