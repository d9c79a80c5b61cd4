"""What Glue answers, as results and errors of ours.

boto3 tries again by itself what is throttled or gets no answer. Here is tried again what only the
answer tells: a change that met another one, and what one of Glue's servers knows and the next does
not yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Never

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential_jitter

from lake_platform.errors import CatalogRefusedError, CatalogUnavailableError, SetupError

_TRIES = 5
_AGAIN = frozenset(
    ["ConcurrentModificationException", "OperationTimeoutException", "InternalServiceException",
     "ResourceNotReadyException", "FederationSourceRetryableException", "EntityNotFoundException"]
)  # fmt: skip
# Of these boto3 has made its tries.
_BUSY = frozenset(
    ["ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded",
     "ServiceUnavailable", "InternalFailure", "AlreadyExistsException", "RequestTimeout"]
)  # fmt: skip
_RIGHTS = frozenset(
    ["AccessDeniedException", "AccessDenied", "UnrecognizedClientException", "ExpiredToken",
     "InvalidSignatureException", "ExpiredTokenException", "InvalidClientTokenId",
     "MissingAuthenticationToken", "IncompleteSignature", "NotAuthorized"]
)  # fmt: skip
_RIGHTS_REMEDY = (
    "Glue takes the usual AWS credentials (environment, profile, role); they need the rights that "
    "docs/glue.md lists, and with Lake Formation those on the database"
)
_LIMIT = "ResourceNumberLimitExceededException"
_NOT_GIVEN: Any = object()


class _AgainError(Exception):
    pass


class Answers:
    """`address`: how messages call the catalog."""

    def __init__(self, client: Any, address: str, sleep: Callable[[float], None]) -> None:
        self._client, self._address, self._sleep = client, address, sleep

    def ask(
        self,
        call: str,
        did: str,
        asked: Mapping[str, Any],
        *,
        absent: Any = _NOT_GIVEN,
        taken: Any = _NOT_GIVEN,
    ) -> Any:
        """The answer; `absent` where there is no such thing, `taken` where there is one already.

        Raises: CatalogUnavailableError, CatalogRefusedError, SetupError.
        """
        given = {"EntityNotFoundException": absent, "AlreadyExistsException": taken}
        given = {code: value for code, value in given.items() if value is not _NOT_GIVEN}

        def once() -> Any:
            from botocore.exceptions import BotoCoreError, ClientError

            try:
                return getattr(self._client, call)(**asked)
            except ClientError as error:
                told = error.response.get("Error", {})
                code, why = str(told.get("Code", "")), str(told.get("Message", "")) or str(error)
                if code in given:
                    return given[code]
                if code in _AGAIN:
                    raise _AgainError(f"{code}: {why}") from None
                self._raise(did, code, why)
            except BotoCoreError as error:
                self._no_answer(did, error)

        return self._tried(did, once)

    def each(
        self, call: str, did: str, asked: Mapping[str, Any], fine: str = ""
    ) -> set[tuple[str, ...]]:
        """Of a call about many partitions those that it was `fine` not to do.

        Raises: as `ask`.
        """

        def once() -> set[tuple[str, ...]]:
            answer = self.ask(call, did, asked)
            left: set[tuple[str, ...]] = set()
            for one in answer.get("Errors") or ():
                detail = one.get("ErrorDetail") or {}
                code = str(detail.get("ErrorCode", ""))
                values = one.get("PartitionValues") or one.get("PartitionValueList") or ()
                why = f"{code}: partition {'/'.join(values)}: {detail.get('ErrorMessage', '')}"
                if code == fine:
                    left.add(tuple(values))
                elif code in _AGAIN:
                    raise _AgainError(why)
                else:
                    self._raise(did, code, why)
            return left

        found: set[tuple[str, ...]] = self._tried(did, once)
        return found

    def refuse(self, did: str, why: str, remedy: str) -> Never:
        raise CatalogRefusedError(self._address, did, why, remedy)

    def _tried(self, did: str, once: Callable[[], Any]) -> Any:
        retrying = Retrying(
            stop=stop_after_attempt(_TRIES),
            wait=wait_exponential_jitter(multiplier=0.2, max=5.0, jitter=0.2),
            retry=retry_if_exception_type(_AgainError),
            sleep=self._sleep,
        )
        try:
            return retrying(once)
        except RetryError as error:
            why = error.last_attempt.exception()
            raise CatalogUnavailableError(
                self._address, did, f"{_TRIES} tries, the last: {why}"
            ) from None

    def _raise(self, did: str, code: str, why: str) -> Never:
        if code in _BUSY:
            raise CatalogUnavailableError(self._address, did, f"{code}: {why}") from None
        if code in _RIGHTS:
            raise SetupError(
                f"{self._address}: {did} is not allowed: {code}: {why}; {_RIGHTS_REMEDY}"
            ) from None
        remedy = (
            "ask AWS for a higher limit, or drop what is of no use"
            if code == _LIMIT
            else "look at what it names; the table itself is as it was"
        )
        self.refuse(did, f"{code}: {why}", remedy)

    def _no_answer(self, did: str, error: Exception) -> Never:
        from botocore import exceptions as known

        text = " ".join(str(error).split())[:500]
        if isinstance(error, known.NoRegionError):
            raise SetupError(
                f"{self._address}: no region; set LAKE_GLUE_REGION or AWS_REGION"
            ) from None
        if isinstance(error, known.NoCredentialsError | known.PartialCredentialsError):
            raise SetupError(f"{self._address}: {text}; {_RIGHTS_REMEDY}") from None
        if isinstance(error, known.ParamValidationError):
            self.refuse(did, text, "look at what it names; the table itself is as it was")
        raise CatalogUnavailableError(
            self._address, did, f"{text}; check LAKE_GLUE_REGION and LAKE_GLUE_ENDPOINT_URL"
        ) from None
