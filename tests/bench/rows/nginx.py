"""nginx from the machine's own packages: one worker, one key, kept connections to the upstream; it reads no body.

It runs as a child from a configuration of the benchmark's own; the machine's nginx service is not touched.
"""

import os
import pwd
import shutil
import subprocess
from contextlib import contextmanager

from tests.bench.children import Child
from tests.bench.loadgen import Target
from tests.bench.rows.base import READY_SECONDS, Gateway, Opened, Place, answers

from sluice.testing import free_port

KEY = "sk-bench"
NOT_INSTALLED = "nginx is not installed (on Debian: apt-get install nginx-light)"
SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin"
SEPARATE_FOLDERS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

_CONFIG = """\
daemon off;
{user}worker_processes 1;
worker_cpu_affinity {cores};
pid {folder}/nginx.pid;
error_log stderr warn;
events {{
    worker_connections 1024;
}}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 100000000;
    client_body_buffer_size 1m;
{temporary}
    map $http_authorization $known {{
        default 0;
        "Bearer {key}" 1;
    }}
    upstream model {{
        server 127.0.0.1:{upstream};
        keepalive 128;
        keepalive_requests 100000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location = /health {{
            return 200;
        }}
        location /v1/ {{
            if ($known = 0) {{
                return 401;
            }}
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "";
            proxy_buffering off;
        }}
    }}
}}
"""


def program() -> str | None:
    """Return where nginx is, None when it is not installed; Debian puts it where only the administrator looks."""
    return shutil.which("nginx") or shutil.which("nginx", path=SYSTEM_FOLDERS)


def missing(_place: Place) -> str | None:
    return None if program() else NOT_INSTALLED


def version() -> str | None:
    """Return its release."""
    found = program()
    if found is None:
        return None
    said = subprocess.run([found, "-v"], capture_output=True, text=True, check=True).stderr
    return said.strip().rpartition("/")[2]


def configuration(folder: str, port: int, upstream: int, core: int) -> str:
    """Return the configuration: everything that nginx writes lies in `folder`."""
    user = f"user {pwd.getpwuid(0).pw_name};\n" if os.getuid() == 0 else ""  # the folder is this user's
    temporary = "".join(f"    {name}_temp_path {folder}/{name};\n" for name in SEPARATE_FOLDERS)
    return _CONFIG.format(
        user=user, cores=f"{1 << core:b}", folder=folder, temporary=temporary, key=KEY, upstream=upstream, port=port
    )


@contextmanager
def open_nginx(place: Place) -> Opened:
    port, folder = free_port(), place.folder / "nginx"
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(configuration(str(folder), port, place.upstream.port, place.gateway_core))
    command = [str(program()), "-p", str(folder), "-c", str(config), "-e", "stderr"]
    log = place.logs / "nginx.log"
    with Child("nginx", command, core=place.gateway_core, log=log, folder=folder) as process:
        process.wait_until(answers(f"http://127.0.0.1:{port}/health"), READY_SECONDS)
        yield Gateway(Target(port, headers=(f"Authorization: Bearer {KEY}",)), process)
