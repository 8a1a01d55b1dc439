"""The page in the browser outside of Kubernetes: nginx, which ends TLS beside it, containers for Docker, and a login node."""

from typing import Any, Final

import yaml

from hypojax.execute.deploy.cluster_config import ClusterConfig
from hypojax.execute.deploy.cluster_tables import ServedPage, require_table
from hypojax.execute.deploy.manifests import USER
from hypojax.execute.deploy.scripts import MADE_BY, script

PAGE_PORT: Final = 7860
"""Port of the page, on the loopback that it shares with nginx."""

TLS_PORT: Final = 8443
"""Port of nginx: above 1024, so that no user needs a right for it."""

PAGE_TLS: Final = "/etc/hypojax/tls"
PAGE_USERS: Final = "/etc/hypojax/users"
"""Folders of the certificate and of the file of users."""

SPARE: Final = 1.05
"""How much larger than its files a form is, at most."""

NGINX: Final = """# {made_by}
# TLS for the page. It runs as any user, and writes to /tmp only. No address is logged: addresses name cohorts and scans.
pid /tmp/nginx.pid;
error_log /dev/stderr crit;
worker_processes auto;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    server_tokens off;
    client_body_temp_path /tmp/body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;
    server {{
        listen {tls_port} ssl;
        server_name {host};
        ssl_certificate {tls}/tls.crt;
        ssl_certificate_key {tls}/tls.key;
        ssl_protocols TLSv1.2 TLSv1.3;
        client_max_body_size {body}m;
        client_body_timeout 300s;
        location / {{
            proxy_pass http://127.0.0.1:{port};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For {visitor};
            proxy_set_header X-Forwarded-Proto https;
            # Uploads go on as they arrive, so that the page's own limits hold; news of a scan come when they are sent.
            proxy_request_buffering off;
            proxy_buffering off;
            proxy_read_timeout 3600s;
            proxy_send_timeout 3600s;
        }}
    }}
}}
"""

COMPOSE: Final = """# {made_by}
# The page for a department, with Docker:
#
#     docker compose --file app/compose.yaml up --detach
#
# Beside this file, readable by the user {user}: users/users (hypojax app --add-user NAME --auth-file users/users),
# tls/tls.crt and tls/tls.key.
"""


def nginx_config(page: ServedPage, *, visitor: str = "$remote_addr") -> str:
    """Configuration of nginx.

    Parameters
    ----------
    page
        The page.
    visitor
        Variable with the address of a visitor; behind an ingress it is what that says.
    """
    body = round(page.upload_megabytes * SPARE)
    return NGINX.format(made_by=MADE_BY, tls_port=TLS_PORT, host=page.host, tls=PAGE_TLS, body=body, port=PAGE_PORT, visitor=visitor)


def page_command(page: ServedPage) -> list[str]:
    """`hypojax app` behind nginx: on the loopback, for whoever has a password."""
    folders = [word for option, folder in (("--cohorts", page.cohorts), ("--inputs", page.inputs)) if folder for word in (option, folder)]
    return [
        *("hypojax", "app", "--no-browser", "--port", str(PAGE_PORT), "--auth-file", f"{PAGE_USERS}/users"),
        *("--host-name", page.host, "--proxy", "127.0.0.1", "--max-upload", page.max_upload, "--max-disk", page.max_disk, *folders),
    ]


def page_files(config: ClusterConfig) -> dict[str, str]:
    """Recipes for one machine: ``app/compose.yaml`` with ``app/nginx.conf``, and ``app/login_node.sh``.

    Raises
    ------
    RunError
        ``USAGE``: the configuration has no table [app].
    """
    page = require_table(config.app, "app")
    return {"app/nginx.conf": nginx_config(page), "app/compose.yaml": _compose(config, page), "app/login_node.sh": _login_node(page)}


def _compose(config: ClusterConfig, page: ServedPage) -> str:
    """Two containers with one loopback; neither may write anywhere but to its own folders."""
    read = {page.inputs: ":ro"} if page.inputs else {}
    data = [f"{place}:{place}{mode}" for place, mode in {**read, **({page.cohorts: ""} if page.cohorts else {})}.items()]
    app = {
        "image": config.image.name,
        "command": page_command(page),
        "environment": {"HOME": "/cache", "TMPDIR": "/scratch"},
        "ports": [f"443:{TLS_PORT}"],
        "volumes": [
            "scratch:/scratch",
            "cache:/cache",
            f"./users:{PAGE_USERS}:ro",
            *data,
        ],
        "stop_grace_period": "1m",
        **_closed(),
    }
    proxy = {
        "image": page.proxy,
        "command": ["nginx", "-c", "/etc/hypojax/nginx.conf", "-g", "daemon off;"],
        "user": f"{USER}:{USER}",
        "network_mode": "service:page",
        "tmpfs": ["/tmp"],  # noqa: S108 - of a container
        "volumes": ["./nginx.conf:/etc/hypojax/nginx.conf:ro", f"./tls:{PAGE_TLS}:ro"],
        **_closed(),
    }
    document = {"services": {"page": app, "proxy": proxy}, "volumes": {"scratch": {}, "cache": {}}}
    return COMPOSE.format(made_by=MADE_BY, user=USER) + yaml.safe_dump(document, sort_keys=False, width=140)


def _closed() -> dict[str, Any]:
    """What no container of the page may do."""
    return {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"], "restart": "unless-stopped"}


def _login_node(page: ServedPage) -> str:
    """The page for one person on a machine that many have: with a password, since all of them reach its loopback."""
    lines = [
        'users="${XDG_CONFIG_HOME:-$HOME/.config}/hypojax/users"',
        'image="${HYPOJAX_IMAGE:-hypojax.sif}"',
        'install -d -m 700 "$(dirname "$users")"',
        '[ -s "$users" ] || apptainer run "$image" app --add-user "$USER" --auth-file "$users"',
        "# It says the line for your own computer: ssh -L PORT:127.0.0.1:PORT THIS-MACHINE",
        f'exec apptainer run "$image" app --no-browser --auth-file "$users" --max-disk {page.max_disk} "$@"',
    ]
    return script("The page on a login node, for its own user; arguments are those of `hypojax app`, such as --cohorts results/.", lines)
