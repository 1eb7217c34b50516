"""Files behind an address: fetched once into a folder that goes with the process."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from finops_ai.errors import SettingsError

#: schemes that can be read, and the extra that a scheme needs
SCHEMES = {"https": "", "http": "", "s3": "bedrock"}


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="finops-ai-")


@cache
def fetched(address: str) -> Path:
    """The file behind an https, http or s3 address.

    Raises:
        SettingsError: another kind of address, or its library isn't installed; says which extra has it.
        ProviderError: the file isn't there or may not be read.
    """
    try:
        parts = urlsplit(address)
    except ValueError as error:
        raise SettingsError(f"{address[:100]!r} is no address ({error}).") from None
    if parts.scheme not in SCHEMES:
        raise SettingsError(
            f"{address}: addresses of the kind {parts.scheme}:// can't be read; {', '.join(SCHEMES)} can. Download the file."
        )
    name = Path(parts.path).name[-100:] or "file"
    target = Path(_folder().name) / f"{len(list(Path(_folder().name).iterdir()))}-{name}"
    target.write_bytes(_from_s3(parts.netloc, parts.path.lstrip("/")) if parts.scheme == "s3" else _over_http(address))
    return target


def _over_http(address: str) -> bytes:
    from finops_ai.providers.http import HttpClient

    parts = urlsplit(address)
    with HttpClient("file", f"{parts.scheme}://{parts.netloc}", timeout=300) as http:
        return http.send("GET", f"{parts.path}?{parts.query}" if parts.query else parts.path).content


def _from_s3(bucket: str, key: str) -> bytes:
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise SettingsError(
            f"s3://{bucket}/{key} needs boto3: pip install 'finops-ai-core[{SCHEMES['s3']}]', or download the file."
        ) from None
    try:
        out: bytes = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return out
    except (BotoCoreError, ClientError) as error:
        raise SettingsError(f"s3://{bucket}/{key} can't be read: {error}") from None
