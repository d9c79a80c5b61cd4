"""`python -m lake_platform.api`: serves the API where the settings say."""

from __future__ import annotations

import sys

import uvicorn

from lake_platform.api.app import create_app
from lake_platform.errors import LakeError
from lake_platform.settings import load_settings


def main() -> int:
    try:
        settings = load_settings()
        app = create_app()
    except LakeError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    uvicorn.run(app, host=settings.api_host, port=settings.api_port, log_level="warning")
    return 0


if __name__ == "__main__":
    sys.exit(main())
