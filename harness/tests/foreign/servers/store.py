"""Databases and message brokers."""
from __future__ import annotations

from catalogue import Port, Probe, Server

REDIS = Server(
    name="redis-server",
    packages=("redis-server",),
    program="redis-server",
    ports=(Port("redis", "Redis"), Port("rediss", "Redis", tls=True)),
    commands=(
        "redis-server --bind 127.0.0.1 --port {redis} --tls-port {rediss} --tls-cert-file {tls}/server.pem"
        " --tls-key-file {tls}/server.key --tls-ca-cert-file {tls}/ca.pem --tls-auth-clients no --save '' --dir {dir}",
    ),
)

MEMCACHED = Server(
    name="memcached",
    packages=("memcached",),
    program="memcached",
    ports=(Port("cache", "memcached"),),
    commands=("memcached -l 127.0.0.1 -p {cache} -U 0",),
)

POSTGRESQL = Server(
    name="postgresql",
    packages=("postgresql",),
    program="/usr/lib/postgresql/*/bin/postgres",
    ports=(Port("sql", "PostgreSQL"),),
    setup=("{bin}/initdb -D data -U probe -A trust --no-sync --no-locale",),
    commands=("{program} -D data -p {sql} -k {dir} -c listen_addresses=127.0.0.1 -c fsync=off",),
)

MARIADB = Server(
    name="mariadb",
    packages=("mariadb-server",),
    program="mariadbd",
    ports=(Port("sql", "MySQL|MariaDB"),),
    setup=("mariadb-install-db --no-defaults --datadir={dir}/data --auth-root-authentication-method=normal --skip-test-db",),
    commands=("mariadbd --no-defaults --datadir={dir}/data --bind-address=127.0.0.1 --port={sql} --socket={dir}/sql.sock",),
)

MOSQUITTO = Server(
    name="mosquitto",
    packages=("mosquitto",),
    program="mosquitto",
    ports=(Port("mqtt", "MQTT"), Port("http", "WebSocket", http=True), Port("mqtts", "MQTT", tls=True)),
    files={"mosquitto.conf": """
allow_anonymous true
persistence false
log_dest stderr
listener %mqtt% 127.0.0.1
listener %http% 127.0.0.1
protocol websockets
listener %mqtts% 127.0.0.1
certfile %tls%/server.pem
keyfile %tls%/server.key
"""},
    commands=("mosquitto -c mosquitto.conf",),
    probes=(Probe("ws://127.0.0.1:{http}/mqtt", "WebSocket", ("--subprotocol", "mqtt")),),
)

NATS = Server(
    name="nats-server",
    packages=("nats-server",),
    program="nats-server",
    ports=(Port("nats", "NATS"), Port("monitor", "HTTP", http=True), Port("http", "WebSocket", http=True)),
    files={"nats.conf": """
listen: 127.0.0.1:%nats%
http: 127.0.0.1:%monitor%
websocket { host: 127.0.0.1, port: %http%, no_tls: true }
"""},
    commands=("nats-server -c nats.conf",),
    probes=(Probe("ws://127.0.0.1:{http}/", "WebSocket"),),
)

SERVERS = (REDIS, MEMCACHED, POSTGRESQL, MARIADB, MOSQUITTO, NATS)
