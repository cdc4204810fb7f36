"""HTTP and WebSocket servers."""
from __future__ import annotations

from catalogue import Port, Probe, Server

NODE_WS = Server(
    name="node ws",
    packages=("node-ws",),
    program="node",
    ports=(Port("http", "WebSocket", http=True),),
    files={"echo.js": """
const { WebSocketServer } = require('ws');
const server = new WebSocketServer({ host: '127.0.0.1', port: %http% });
server.on('connection', (socket) => socket.on('message', (data, binary) => socket.send(data, { binary })));
"""},
    commands=("node echo.js",),
    env={"NODE_PATH": "/usr/share/nodejs"},
    probes=(Probe("ws://127.0.0.1:{http}/", "WebSocket"),),
)

NGINX = Server(
    name="nginx",
    packages=("nginx", "node-ws"),
    program="nginx",
    ports=(Port("http", "nginx|HTTP", http=True), Port("https", "nginx|HTTP", tls=True), Port("behind", "")),
    files={
        "nginx.conf": """
daemon off; pid %dir%/nginx.pid; error_log stderr; worker_processes 1;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path %dir%/body; proxy_temp_path %dir%/proxy; fastcgi_temp_path %dir%/fastcgi;
  uwsgi_temp_path %dir%/uwsgi; scgi_temp_path %dir%/scgi;
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  server {
    listen 127.0.0.1:%http%;
    listen 127.0.0.1:%https% ssl;
    ssl_certificate %tls%/server.pem; ssl_certificate_key %tls%/server.key;
    location / { return 200 "hello\\n"; }
    location /chat {
      proxy_pass http://127.0.0.1:%behind%; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }
  }
}
""",
        "echo.js": NODE_WS.files["echo.js"].replace("%http%", "%behind%"),
    },
    commands=("node echo.js", "nginx -p {dir} -e stderr -c {dir}/nginx.conf"),
    env=NODE_WS.env,
    probes=(
        Probe("http://127.0.0.1:{http}/", "nginx|HTTP"),
        Probe("ws://127.0.0.1:{http}/chat", "WebSocket"),
        Probe("https://localhost:{https}/", "nginx|HTTP", ("--ca", "{tls}/ca.pem")),
        Probe("wss://localhost:{https}/chat", "WebSocket", ("--ca", "{tls}/ca.pem")),
    ),
)

HAPROXY = Server(
    name="haproxy",
    packages=("haproxy",),
    program="haproxy",
    ports=(Port("http", "HTTP", http=True), Port("proxied", "PROXY")),
    files={"haproxy.cfg": """
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 10s
frontend plain
  bind 127.0.0.1:%http%
  http-request return status 200 content-type text/plain string hello
frontend proxied
  bind 127.0.0.1:%proxied% accept-proxy
  http-request return status 200 content-type text/plain string hello
"""},
    commands=("haproxy -db -f haproxy.cfg",),
    probes=(Probe("http://127.0.0.1:{http}/", "HTTP"),),
)

CADDY = Server(
    name="caddy",
    packages=("caddy",),
    program="caddy",
    ports=(Port("http", "Caddy|HTTP", http=True), Port("https", "Caddy|HTTP", tls=True)),
    files={"Caddyfile": """
{
	admin off
	auto_https off
}
http://127.0.0.1:%http% {
	respond "hello"
}
https://localhost:%https% {
	bind 127.0.0.1
	tls %tls%/server.pem %tls%/server.key
	respond "hello"
}
"""},
    env={"HOME": "{dir}", "XDG_DATA_HOME": "{dir}", "XDG_CONFIG_HOME": "{dir}"},
    commands=("caddy run --config Caddyfile --adapter caddyfile",),
    probes=(
        Probe("http://127.0.0.1:{http}/", "Caddy|HTTP"),
        Probe("https://localhost:{https}/", "Caddy|HTTP", ("--ca", "{tls}/ca.pem")),
    ),
)

NGHTTPD = Server(
    name="nghttpd",
    packages=("nghttp2-server",),
    program="nghttpd",
    ports=(Port("http", "HTTP/2"),),
    commands=("nghttpd --no-tls -a 127.0.0.1 -d {dir} {http}",),
)

ICECAST = Server(
    name="icecast2",
    packages=("icecast2",),
    program="icecast2",
    ports=(Port("http", "Icecast|HTTP", http=True),),
    files={"icecast.xml": """
<icecast>
  <limits><clients>10</clients><sources>2</sources></limits>
  <authentication>
    <source-password>secret</source-password>
    <admin-user>admin</admin-user><admin-password>secret</admin-password>
  </authentication>
  <hostname>localhost</hostname>
  <listen-socket><port>%http%</port><bind-address>127.0.0.1</bind-address></listen-socket>
  <paths><logdir>%dir%</logdir><webroot>/usr/share/icecast2/web</webroot><adminroot>/usr/share/icecast2/admin</adminroot>
    <alias source="/" destination="/status.xsl"/></paths>
  <logging><accesslog>access.log</accesslog><errorlog>error.log</errorlog><loglevel>3</loglevel></logging>
  <security><chroot>0</chroot></security>
</icecast>
"""},
    commands=("icecast2 -c icecast.xml",),
    probes=(Probe("http://127.0.0.1:{http}/", "Icecast|HTTP"),),
)

PYTHON_WEBSOCKETS = Server(
    name="Python websockets",
    packages=("python3-websockets",),
    program="/usr/bin/python3",
    ports=(Port("http", "WebSocket", http=True),),
    files={"echo.py": """
import asyncio, websockets

async def echo(socket):
    async for message in socket:
        await socket.send(message)

async def main():
    async with websockets.serve(echo, "127.0.0.1", %http%):
        await asyncio.Future()

asyncio.run(main())
"""},
    commands=("/usr/bin/python3 echo.py",),
    probes=(Probe("ws://127.0.0.1:{http}/", "WebSocket"),),
)

UVICORN = Server(
    name="uvicorn",
    packages=("python3-uvicorn", "python3-websockets"),
    program="/usr/bin/python3",
    ports=(Port("http", "HTTP|WebSocket", http=True),),
    files={"app.py": """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"hello"})
    elif scope["type"] == "websocket":
        while (event := await receive())["type"] != "websocket.disconnect":
            if event["type"] == "websocket.connect":
                await send({"type": "websocket.accept"})
            else:
                said = {key: event[key] for key in ("text", "bytes") if event.get(key) is not None}
                await send({"type": "websocket.send", **said})
"""},
    commands=("/usr/bin/python3 -m uvicorn app:app --host 127.0.0.1 --port {http} --lifespan off",),
    probes=(Probe("ws://127.0.0.1:{http}/", "WebSocket"), Probe("http://127.0.0.1:{http}/", "HTTP|uvicorn")),
)

SERVERS = (NGINX, HAPROXY, CADDY, NGHTTPD, ICECAST, NODE_WS, PYTHON_WEBSOCKETS, UVICORN)
