"""Real proxies before the service: HAProxy and nginx, as they come, with connections to the service kept and shared."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

from service.lab.processes import Process, free_port

MARK = "proxy-"
"""How a request id begins that a proxy gave: what comes without it was not a request to the proxy."""

_HAPROXY = """
global
    maxconn 500
defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 10s
    timeout server 10s
frontend in
    bind 127.0.0.1:{port}
    http-request set-header X-Request-Id {mark}%[uuid()]
    default_backend service
backend service
    server web 127.0.0.1:{target}
"""
_NGINX = """
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/nginx-error.log;
events {{ worker_connections 500; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream service {{ server 127.0.0.1:{target}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://service;
            proxy_http_version 1.1;
            proxy_request_buffering off;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Request-Id {mark}$request_id;
        }}
    }}
}}
"""


def _haproxy(binary: str, directory: Path, port: int, target: int) -> list[str]:
    configuration = directory / "haproxy.cfg"
    configuration.write_text(_HAPROXY.format(port=port, target=target, mark=MARK))
    return [binary, "-db", "-f", str(configuration)]


def _nginx(binary: str, directory: Path, port: int, target: int) -> list[str]:
    configuration = directory / "nginx.conf"
    configuration.write_text(_NGINX.format(directory=directory, port=port, target=target, mark=MARK))
    return [binary, "-p", str(directory), "-c", str(configuration), "-e", str(directory / "nginx-error.log")]


PROXIES: Mapping[str, Callable[[str, Path, int, int], list[str]]] = {"haproxy": _haproxy, "nginx": _nginx}


def find(name: str) -> str | None:
    """Where the proxy is, if it is here; distributions put it beside the tools of administrators."""
    return shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")


class Proxy:
    """One proxy; a context manager.

    Args:
        name: of `PROXIES`.
        binary: as `find` found it.
        directory: for its configuration and log.
        target: the port of the web instance.

    Attributes:
        port: of 127.0.0.1, where it listens.
    """

    def __init__(self, name: str, binary: str, directory: Path, target: int) -> None:
        self.port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        argv = PROXIES[name](binary, directory, self.port, target)
        self._process = Process(name, argv, {"PATH": os.defpath}, directory / f"{name}.log", cwd=directory)

    def __enter__(self) -> Self:
        self._process.start()
        self._process.wait_ready(f"http://127.0.0.1:{self.port}/livez")
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
