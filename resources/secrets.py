"""AWS Secrets Manager for Dagster's processes, through dagster-aws. Imported when a setting first
refers to a secret of it: the code location loads without an AWS client."""

from typing import Any

from dagster_aws.utils import ResourceWithBoto3Configuration

from lake_platform.adapters.secrets.aws import ATTEMPTS, open_manager


class SecretsResource(ResourceWithBoto3Configuration):
    """Region, endpoint, profile and tries as dagster-aws has them; our time-outs."""

    def get_client(self) -> Any:
        return open_manager(
            self.region_name or "", self.endpoint_url or "", self.max_attempts, self.profile_name
        )


def secrets_resource() -> SecretsResource:
    return SecretsResource(max_attempts=ATTEMPTS)
