"""The `oci` SDK behind one door: its configuration, its clients, retries where waiting helps, clear errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from finops_ai.errors import CredentialsError, ProviderError
from finops_ai.providers import HttpRefused
from finops_ai.providers.retrying import RETRIED, Passing, asking_again, retry_after, stand_by

POLICY = (
    "An administrator grants it in the tenancy's root compartment: Allow group <group> to read usage-report in tenancy; "
    "Allow group <group> to inspect tenancies in tenancy."
)
REPORT_POLICY = (
    "An administrator grants it in the tenancy's root compartment: define tenancy usage-report as "
    "ocid1.tenancy.oc1..aaaaaaaaned4fkpkisbwjlr56u7cj63lf3wffbilvqknstgtvzub7vhqkggq; "
    "endorse group <group> to read objects in tenancy usage-report."
)


def load_config(settings: Any) -> tuple[dict[str, Any], Any]:
    """Configuration and signer as the SDK finds them: a config file's profile, or the principal this machine runs as.

    Raises:
        CredentialsError: there is none, or it is incomplete.
    """
    import oci

    try:
        if settings.auth == "instance_principal":
            signer = oci.auth.signers.InstancePrincipalsSecurityTokenSigner()
            return {"region": settings.region or signer.region, "tenancy": signer.tenancy_id}, signer
        if settings.auth == "resource_principal":
            signer = oci.auth.signers.get_resource_principals_signer()
            return {"region": settings.region or signer.region, "tenancy": signer.tenancy_id}, signer
        config = oci.config.from_file(settings.config_file or oci.config.DEFAULT_LOCATION, settings.profile)
        if settings.auth == "session_token":
            with open(config["security_token_file"], encoding="utf-8") as stream:
                token = stream.read().strip()
            key = oci.signer.load_private_key_from_file(config["key_file"], config.get("pass_phrase"))
            signer = oci.auth.signers.SecurityTokenSigner(token, key)
        else:
            oci.config.validate_config(config)
            signer = None
    except Exception as error:  # the SDK raises many kinds; only the kind is told, never a key
        raise CredentialsError(
            f"oci: no usable credentials ({type(error).__name__}). Run `oci setup config`, or set `config_file` and "
            f'`profile`, or set auth = "instance_principal" on a machine inside OCI.'
        ) from None
    return {**config, **({"region": settings.region} if settings.region else {})}, signer


class Client:
    """Makes SDK clients and asks them. 429, 5xx and dropped connections are asked again, honouring retry-after.

    The SDK itself never retries here, so that waiting is in one place.

    Args:
        config: configuration for the SDK.
        signer: request signer; None = the one the configuration describes.
        settings: `endpoint_url`, `timeout`, `max_retries`.
        sleep: how to wait.
    """

    def __init__(
        self, config: dict[str, Any], signer: Any, settings: Any, sleep: Callable[[float], Any] = stand_by
    ) -> None:
        self._config, self._signer, self._settings, self._sleep = config, signer, settings, sleep

    def make(self, kind: Callable[..., Any]) -> Any:
        """An SDK client of a class, such as `oci.usage_api.UsageapiClient`."""
        import oci

        options: dict[str, Any] = {
            "timeout": (min(10.0, self._settings.timeout), self._settings.timeout),
            "retry_strategy": oci.retry.NoneRetryStrategy(),
            "circuit_breaker_strategy": oci.circuit_breaker.NoCircuitBreakerStrategy(),
        }
        if self._settings.endpoint_url:
            options["service_endpoint"] = self._settings.endpoint_url.rstrip("/")
        if self._signer is not None:
            options["signer"] = self._signer
        return kind(self._config, **options)

    def ask(self, what: str, call: Callable[[], Any], help_text: str = POLICY, *, needs: str = "") -> Any:
        """Make one call; an answer that is cut or damaged is asked for again, too.

        Args:
            what: what is asked for, for messages.
            call: asks; may raise ValueError where what came isn't whole.
            help_text: next step where it isn't allowed.
            needs: list every whole answer has: the SDK makes an empty model of an answer it can't read.

        Raises:
            CredentialsError: 401, 403, or the 404 that OCI gives to whom it allows nothing.
            HttpRefused: another refusal.
            ProviderUnavailable: still failing after the retries.
        """
        import oci

        def once() -> Any:
            try:
                answer = call()
                if needs:
                    needed(answer.data, needs, what)
                return answer
            except oci.exceptions.ServiceError as error:
                if error.status not in RETRIED:
                    raise _refused(what, error, help_text) from None
                raise Passing(f"HTTP {error.status} {error.code}", retry_after(error.headers or {})) from None
            except (
                oci.exceptions.RequestException,
                oci.exceptions.ConnectTimeout,
                OSError,
            ) as error:  # OSError: while streaming
                raise Passing(f"connection failed ({type(error).__name__})") from None
            except (ValueError, Damaged) as error:
                raise Passing(f"the answer is not whole ({str(error)[:200] or type(error).__name__})") from None

        return asking_again(once, provider="oci", what=what, retries=self._settings.max_retries, sleep=self._sleep)


class Damaged(ProviderError):
    """An answer that lacks what every whole one has: worth asking for again."""


def needed(answer: Any, name: str, who: str) -> list[Any]:
    """A list the answer must have: the SDK makes an empty model of an answer it can't read.

    Raises:
        ProviderError: the list is missing.
    """
    found = getattr(answer, name, None)
    if not isinstance(found, list):
        raise Damaged(f"oci: {who} answered without {name!r}: not a whole answer. Ask again; nothing was stored.")
    return found


def _refused(what: str, error: Any, help_text: str) -> ProviderError:
    said = " ".join(str(error.message or "").split())[:300]
    text = f"oci: {what} was refused with HTTP {error.status} {error.code}: {said or 'no reason given'}."
    if error.status == 401:
        return CredentialsError(
            f"{text} Check user, fingerprint and key of the profile, and this machine's clock (5 minutes off is too much)."
        )
    if error.status == 403 or (error.status == 404 and "NotAuthorized" in str(error.code)):
        return CredentialsError(f"{text} OCI answers this also to whom a policy is missing. {help_text}")
    return HttpRefused(text, error.status, said)
