"""Apprise: takes one alert to one address.  The only home of that library; knows no ledger and no route.

A program reads the alert from keys of their own in the payload of ``json://``, ``form://`` and ``xml://``; what people
read holds the id, too.
"""

from __future__ import annotations

from collections.abc import Mapping

from evermix.config.environment import fill_placeholders, without_secrets
from evermix.core.alerts import Alert
from evermix.errors import ConfigError, ServiceError

_TYPES = {"info": "info", "warning": "warning", "critical": "failure"}
_FIELDS = {"kind", "model", "as_of", "severity", "action", "link"}


def send(url: str, where: str, alert: Alert) -> None:
    """Send an alert to an Apprise URL; coming back means that the service has taken it.

    Parameters
    ----------
    url : str
        With ``${EVERMIX_...}`` where secrets belong; a secret inside a URL is quoted, one that is the URL is not.
    where : str
        The route, for messages, in which neither the URL nor a secret ever stands.

    Raises
    ------
    ConfigError
        A variable is not set, or no service of Apprise has such a URL.
    ServiceError
        The service did not take it.
    """
    import apprise

    address, secrets = fill_placeholders(url, where, encode=True)
    with apprise.LogCapture(level=apprise.logging.WARNING) as log:
        service = apprise.Apprise.instantiate(address)
        if service is None:
            scheme = url.split(":")[0]
            raise ConfigError(
                f"{where}: Apprise takes no such URL ({scheme}://...). Compare it with https://appriseit.com/services/."
            )
        if isinstance(getattr(service, "payload_extras", None), dict):
            service.payload_extras.update({"alert_id": alert.id, **alert.model_dump(include=_FIELDS)})
        post = apprise.Apprise()
        post.add(service)
        taken = post.notify(
            title=alert.subject(),
            body=alert.body(),
            notify_type=apprise.NotifyType(_TYPES[alert.severity]),
            body_format=apprise.NotifyFormat.TEXT,
        )
        said = log.getvalue()
    if not taken:
        raise ServiceError(f"{where}: {_last_line(said, secrets)} Check address and login; it is tried again.")


def _last_line(said: str, secrets: Mapping[str, str]) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    text = lines[-1].split(" - ")[-1].strip() if lines else "the service did not take the message."
    return without_secrets(text, secrets)
