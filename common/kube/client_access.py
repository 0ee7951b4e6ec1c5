"""How to reach the API server, by the official client: kubeconfigs of any form, plugins for credentials, proxies."""

from pathlib import Path
from typing import Any

from kubernetes import config as kube_config
from kubernetes.client import ApiClient, Configuration
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, KubeConfigMerger

from common.kube.access import Access


class Unreadable(Exception):
    """No usable kubeconfig; says why in one line, without what was read, which may hold credentials."""


def by_client(kubeconfig: Path | None, context: str, connections: int) -> Access:
    """From a kubeconfig file, else from the pod's service account, else from ~/.kube/config. Raises Unreadable."""
    configuration = Configuration()
    token_file = None
    try:
        if kubeconfig is not None or not _in_cluster(configuration):
            file = str(kubeconfig) if kubeconfig is not None else None
            kube_config.load_kube_config(file, context or None, client_configuration=configuration)
            token_file = _token_file_of(file, context or None)
    except Exception as error:  # the client lets through whatever its parsers raise at a bad file
        raise Unreadable(_what_is_wrong(error)) from error
    configuration.connection_pool_maxsize = connections

    def header() -> str:
        # The client refreshes expired tokens (exec plugins, service accounts) within auth_settings().
        setting = configuration.auth_settings().get("BearerToken")
        return str(setting["value"]) if setting and setting["value"] else ""

    return Access(
        host=str(configuration.host).rstrip("/"),
        pool=ApiClient(configuration).rest_client.pool_manager,
        header=header,
        token_file=token_file,
    )


def _in_cluster(configuration: Configuration) -> bool:
    try:
        kube_config.load_incluster_config(client_configuration=configuration)
    except kube_config.ConfigException:
        return False
    return True


def _token_file_of(kubeconfig: str | None, context: str | None) -> Path | None:
    """The token file that the kubeconfig's user names, which goes before a token beside it, as in client-go; None where
    there is none. The client itself reads it only once. Raises ConfigException."""
    user = _user(kubeconfig, context)
    found = user and user["user"] and user["user"].safe_get("tokenFile")
    if not found:
        return None
    return Path(str(user.path)).parent / str(found)


def exec_plugin_of(kubeconfig: str | None, context: str | None) -> str | None:
    """The command that gives the kubeconfig's user its credentials; None where there is none. Raises ConfigException.

    The client only logs that it failed, and goes on without credentials."""
    user = _user(kubeconfig, context)
    found = user and user["user"] and user["user"].safe_get("exec")
    return str(found["command"]) if found else None


def _user(kubeconfig: str | None, context: str | None) -> Any:
    """The context's user, untyped in the client; None where there is none."""
    config = KubeConfigMerger(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION).config
    if config is None or not config.safe_get("users"):
        return None
    named = config["contexts"].get_with_name(context or config["current-context"])["context"]
    return named.safe_get("user") and config["users"].get_with_name(named["user"], safe=True)


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, (kube_config.ConfigException, OSError)):
        return " ".join(str(error).split())
    mark = getattr(error, "problem_mark", None)
    where = f", line {mark.line + 1}" if mark is not None else ""
    return f"not a kubeconfig ({type(error).__name__}{where})"
