"""SigV4 signatures for Amazon Bedrock, made by botocore, which comes with the extra `bedrock`."""

from typing import NamedTuple

from sluice.errors import DependencyUnavailable


class AwsCredentials(NamedTuple):
    """What AWS gives to call it with; `token` belongs to temporary credentials."""

    access_key: str
    secret_key: str
    token: str | None = None


class AwsSigner:
    """Signs requests for one region."""

    def __init__(self, credentials: AwsCredentials, region: str, service: str = "bedrock") -> None:
        try:
            from botocore.auth import SigV4Auth  # noqa: PLC0415 an optional extra
            from botocore.awsrequest import AWSRequest  # noqa: PLC0415 - botocore is for Bedrock only
            from botocore.credentials import Credentials  # noqa: PLC0415 - botocore is for Bedrock only
        except ImportError as exc:
            raise DependencyUnavailable(
                "Bedrock with IAM credentials needs the extra: pip install sluice-gateway[bedrock]"
            ) from exc
        self._request = AWSRequest
        self._auth = SigV4Auth(Credentials(*credentials), service, region)

    def headers(self, url: str, body: bytes, headers: tuple[tuple[str, str], ...] = ()) -> dict[str, str]:
        """Return the headers of a POST with its signature; the URL's path must go out exactly as it stands here."""
        request = self._request(method="POST", url=url, data=body, headers=dict(headers))
        self._auth.add_auth(request)
        return dict(request.headers.items())
