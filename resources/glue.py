"""Glue for a run, through dagster-aws: its settings of boto3 as a Dagster resource. Imported when a
run first needs it: the code location loads without an AWS client."""

from typing import Any

from dagster_aws.utils import ResourceWithBoto3Configuration

from lake_platform.adapters.glue.open import ATTEMPTS, open_glue
from lake_platform.settings import Settings


class GlueResource(ResourceWithBoto3Configuration):
    """`max_attempts` of boto3 itself: after them the asset is tried again."""

    def get_client(self) -> Any:
        """Raises: SetupError."""
        return open_glue(
            self.region_name or "", self.endpoint_url or "", self.max_attempts, self.profile_name
        )


def glue_resource(settings: Settings, region: str) -> GlueResource:
    return GlueResource(
        region_name=region or None,
        endpoint_url=settings.glue_endpoint_url or None,
        max_attempts=ATTEMPTS,
    )
