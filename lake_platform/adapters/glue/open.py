"""boto3's client for Glue."""

from __future__ import annotations

from typing import Any

from lake_platform.errors import SetupError

ATTEMPTS = 5  # of boto3, with growing pauses; then comes the caller's turn
_CONNECT_SECONDS, _SILENCE_SECONDS = 5.0, 30.0


def open_glue(
    region: str, endpoint_url: str, attempts: int = ATTEMPTS, profile: str | None = None
) -> Any:
    """Credentials come from the environment, profile or role, as AWS has it.

    Raises: SetupError: no region, an endpoint that is no URL, a profile that is not there.
    """
    from boto3.session import Session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    config = Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_SILENCE_SECONDS,
    )
    try:
        # Not boto3's one session for all: that keeps the credentials it found first.
        return Session(profile_name=profile).client(
            "glue", region_name=region or None, endpoint_url=endpoint_url or None, config=config
        )
    except (BotoCoreError, ValueError) as error:
        raise SetupError(
            f"Glue: {str(error).splitlines()[0]}; check LAKE_GLUE_REGION (or AWS_REGION), "
            f"LAKE_GLUE_ENDPOINT_URL and AWS_PROFILE"
        ) from None
