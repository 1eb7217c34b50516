"""Asking AWS: boto3 clients with one way to retry, to page and to say what is wrong."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from finops_ai.errors import CredentialsError, ProviderError, SettingsError
from finops_ai.providers.http import check_content
from finops_ai.providers.retrying import RETRIED, Passing, asking_again, retry_after, stand_by

if TYPE_CHECKING:
    from finops_ai_bedrock.settings import BedrockSettings

T = TypeVar("T")

#: error codes worth asking again for, whatever status they come with (botocore's own list of throttling codes)
THROTTLED = {
    "Throttling", "ThrottlingException", "ThrottledException", "RequestThrottled", "RequestThrottledException",
    "TooManyRequestsException", "ProvisionedThroughputExceededException", "RequestLimitExceeded", "SlowDown",
    "LimitExceededException", "PriorRequestNotComplete", "TransactionInProgressException",
}  # fmt: skip
CLOCK = {"RequestTimeTooSkewed", "RequestExpired", "SignatureDoesNotMatch", "InvalidSignatureException"}
REFUSED = {
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "InvalidAccessKeyId", "ExpiredToken",
    "ExpiredTokenException", "UnrecognizedClientException", "InvalidClientTokenId", "MissingAuthenticationToken",
    "403", "401", *CLOCK,
}  # fmt: skip


class Aws:
    """AWS clients of one connector; boto3 is imported and a session opened on first use.

    Args:
        settings: the connector's settings.
        sleep: how to wait between tries; tests pass their own.
    """

    def __init__(self, settings: BedrockSettings, *, sleep: Any = stand_by) -> None:
        self._settings, self._sleep = settings, sleep
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        """A client of one service, made once."""
        if service not in self._clients:
            self._clients[service] = self._make(service)
        return self._clients[service]

    def _make(self, service: str) -> Any:
        import boto3
        import botocore.session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        s = self._settings
        config = Config(
            connect_timeout=s.timeout,
            read_timeout=s.timeout,
            retries={"total_max_attempts": 1},  # one place retries: `call`
            s3={"addressing_style": "path"} if s.endpoint_url else None,
        )
        try:
            core = botocore.session.Session()
            core.register_component("data_loader", _service_models())
            session = boto3.session.Session(botocore_session=core, profile_name=s.profile, region_name=s.region)
            return session.client(service, endpoint_url=s.endpoint_url, config=config)
        except BotoCoreError as error:
            raise SettingsError(
                f"bedrock: can't make an AWS client ({error}). Check [providers.bedrock] `region` and `profile`."
            ) from None

    def call(self, service: str, operation: str, needs: str = "", **arguments: Any) -> Any:
        """One API call, asked again on throttling, 5xx, 529, dropped connections and damaged answers.

        Args:
            service, operation: what to call.
            needs: field every whole answer has; the SDK reads a damaged one as empty without a word.
            **arguments: of the operation.

        Raises:
            CredentialsError: missing, expired or insufficient credentials, or a clock that is off.
            ProviderUnavailable: still failing after the retries.
            ProviderError: refused for another reason.
        """

        def ask() -> Any:
            answer = getattr(self.client(service), operation)(**arguments)
            if needs and needs not in answer:
                raise ValueError(f"it lacks {needs!r}")
            return answer

        return self.retrying(f"{service}:{operation}", ask)

    def retrying(self, what: str, ask: Callable[[], T]) -> T:
        """Run `ask` until it answers, waiting as the answer says or else ever longer."""
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectionError,
            HTTPClientError,
            IncompleteReadError,
            NoCredentialsError,
            ResponseStreamingError,
        )
        from botocore.parsers import ResponseParserError

        def once() -> T:
            try:
                return ask()
            except NoCredentialsError:
                raise CredentialsError(
                    "bedrock: no AWS credentials found. Sign in (`aws sso login`), set AWS_ACCESS_KEY_ID and "
                    "AWS_SECRET_ACCESS_KEY, or name a profile with [providers.bedrock] `profile`."
                ) from None
            except ClientError as error:
                code, status, said = _refusal(error)
                if code not in THROTTLED and (code in REFUSED or status not in RETRIED):
                    raise _explained(what, code, status, said) from None
                headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
                raise Passing(f"{code} {said}".strip(), retry_after(headers)) from None
            except (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError) as error:
                raise Passing(f"connection failed ({type(error).__name__})") from None
            except (ResponseParserError, ValueError) as error:
                raise Passing(f"the answer is not whole ({' '.join(str(error).split())[:200]})") from None
            except BotoCoreError as error:
                raise ProviderError(f"bedrock: {what}: {error}.") from None

        return asking_again(once, provider="bedrock", what=what, retries=self._settings.max_retries, sleep=self._sleep)

    def pages(
        self, service: str, operation: str, *, token: str, next_token: str, needs: str, **arguments: Any
    ) -> Iterator[Any]:
        """All pages of a call.

        Args:
            token: argument that takes the continuation token.
            next_token: field of the answer that holds the next one.
            needs: field every whole answer has; the SDK reads a damaged one as empty without a word.

        Raises:
            ProviderError: the same token came twice, so the pages would repeat.
        """
        seen: set[str] = set()
        while True:
            page = self.call(service, operation, needs, **arguments)
            yield page
            following = page.get(next_token)
            if not following:
                return
            if following in seen:
                raise ProviderError(
                    f"bedrock: {service}:{operation} gave the same page token twice; the pages would be counted twice. "
                    "Nothing was stored; run the same command again."
                )
            seen.add(following)
            arguments[token] = following

    def objects(self, uri: str) -> list[dict[str, Any]]:
        """Objects below `s3://bucket/prefix`, with Key, Size, LastModified and Bucket."""
        bucket, prefix = split_uri(uri)
        found = []
        for page in self.pages(
            "s3", "list_objects_v2", token="ContinuationToken", next_token="NextContinuationToken", needs="IsTruncated",
            Bucket=bucket, Prefix=prefix,
        ):  # fmt: skip
            found += [{**entry, "Bucket": bucket} for entry in page.get("Contents", [])]
        return found

    def folders(self, uri: str) -> list[str]:
        """Names of the folders right below `s3://bucket/prefix/`."""
        bucket, prefix = split_uri(uri)
        names = []
        for page in self.pages(
            "s3", "list_objects_v2", token="ContinuationToken", next_token="NextContinuationToken", needs="IsTruncated",
            Bucket=bucket, Prefix=prefix, Delimiter="/",
        ):  # fmt: skip
            names += [entry["Prefix"].removeprefix(prefix).rstrip("/") for entry in page.get("CommonPrefixes", [])]
        return names

    def content(self, entry: dict[str, Any]) -> bytes:
        """The bytes of one object; a connection that drops halfway is asked again from the start."""

        def ask() -> bytes:
            answer = self.client("s3").get_object(Bucket=entry["Bucket"], Key=entry["Key"])
            content: bytes = answer["Body"].read()
            # the ETag of an object that was sent in one piece and isn't encrypted with a key is its MD5
            tag = str(entry.get("ETag", "")).strip('"')
            plain = re.fullmatch(r"[0-9a-f]{32}", tag) and answer.get("ServerSideEncryption") in (None, "AES256")
            check_content(content, size=entry.get("Size"), md5=tag if plain else None)
            return content

        return self.retrying(f"s3:get_object {entry['Key']}", ask)

    def download(self, entry: dict[str, Any], folder: Path, number: int) -> Path:
        """One object as a file in `folder`; named by number, so that no key becomes a path."""
        suffix = "".join(Path(entry["Key"]).suffixes[-2:])
        path = folder / f"{number:05d}{suffix if suffix.replace('.', '').isalnum() else ''}"
        path.write_bytes(self.content(entry))
        return path


@cache
def _service_models() -> Any:
    """AWS's service descriptions: megabytes of JSON, parsed once for all clients."""
    from botocore.loaders import Loader

    return Loader()


def split_uri(uri: str) -> tuple[str, str]:
    """Bucket and key prefix of an `s3://` address.

    >>> split_uri("s3://bills/exports/ai/")
    ('bills', 'exports/ai/')
    """
    parts = urlsplit(uri)
    if parts.scheme != "s3" or not parts.netloc:
        raise SettingsError(f"bedrock: {uri!r} is no S3 address. Write s3://bucket/prefix.")
    return parts.netloc, parts.path.lstrip("/")


def _refusal(error: Any) -> tuple[str, int, str]:
    """Code, HTTP status and message of a botocore ClientError."""
    body = error.response.get("Error", {})
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return str(body.get("Code", "")), status, " ".join(str(body.get("Message", "")).split())[:300]


def _explained(what: str, code: str, status: int, said: str) -> ProviderError:
    text = f"bedrock: {what} was refused ({code or status}): {said or 'no reason given'}."
    if code in CLOCK:
        return CredentialsError(
            f"{text} This machine's clock reads {dt.datetime.now(dt.UTC):%Y-%m-%dT%H:%M:%SZ}; AWS refuses signatures "
            "more than 5 minutes off. Set the clock, or check the secret key."
        )
    if code in REFUSED or status in (401, 403):
        return CredentialsError(f"{text} Grant the permission {what.split()[0]} to these credentials, or renew them.")
    if code in ("NoSuchBucket", "NoSuchKey", "ResourceNotFoundException"):
        return ProviderError(f"{text} Check the address and the Region in [providers.bedrock].")
    return ProviderError(text)
