"""Servers that carry voice, chat and signalling."""
from __future__ import annotations

from catalogue import Port, Probe, Server

COTURN = Server(
    name="coturn",
    packages=("coturn",),
    program="turnserver",
    ports=(Port("turn", "STUN|TURN"), Port("turns", "STUN|TURN", tls=True)),
    commands=(
        "turnserver -n --no-cli --log-file stdout --pidfile {dir}/turn.pid --userdb {dir}/turn.db"
        " --listening-ip 127.0.0.1 --relay-ip 127.0.0.1 --allow-loopback-peers"
        " --listening-port {turn} --tls-listening-port {turns} --cert {tls}/server.pem --pkey {tls}/server.key"
        " --lt-cred-mech --realm localhost --user probe:secret",
    ),
    probes=(
        Probe("stun:127.0.0.1:{turn}", "STUN|TURN"),
        Probe("turn:127.0.0.1:{turn}", "TURN"),
    ),
)

PROSODY = Server(
    name="prosody",
    packages=("prosody",),
    program="prosody",
    ports=(Port("xmpp", "XMPP"), Port("xmpps", "XMPP", tls=True), Port("http", "HTTP", http=True)),
    files={"prosody.cfg.lua": """
interfaces = { "127.0.0.1" }
c2s_ports = { %xmpp% }
c2s_direct_tls_ports = { %xmpps% }
s2s_ports = { }
http_ports = { %http% }
http_interfaces = { "127.0.0.1" }
https_ports = { }
ssl = { certificate = "%tls%/server.pem", key = "%tls%/server.key" }
c2s_direct_tls_ssl = { certificate = "%tls%/server.pem", key = "%tls%/server.key" }
data_path = "%dir%"
pidfile = "%dir%/prosody.pid"
modules_enabled = { "disco", "saslauth", "tls", "websocket" }
consider_websocket_secure = true
modules_disabled = { "s2s", "posix" }
log = { info = "*console" }
VirtualHost "localhost"
"""},
    commands=("prosody -F --config {dir}/prosody.cfg.lua",),
    probes=(Probe("ws://localhost:{http}/xmpp-websocket", "WebSocket", ("--subprotocol", "xmpp")),),
)

MUMBLE = Server(
    name="mumble-server",
    packages=("mumble-server",),
    program="murmurd|mumble-server",
    ports=(Port("mumble", "Mumble", tls=True),),
    files={"murmur.ini": """
host=127.0.0.1
port=%mumble%
database=%dir%/murmur.sqlite
logfile=
pidfile=
welcometext=hello
bonjour=false
; three probes within two minutes are more connections than it takes from one address
autobanAttempts=0
sslCert=%tls%/server.pem
sslKey=%tls%/server.key
"""},
    commands=("{program} -fg -ini {dir}/murmur.ini",),
)

SNAPSERVER = Server(
    name="snapserver",
    packages=("snapserver",),
    program="snapserver",
    ports=(Port("snap", "Snapcast"), Port("control", "Snapcast|JSON-RPC"), Port("http", "HTTP", http=True)),
    files={"snapserver.conf": """
[server]
datadir = %dir%
[http]
bind_to_address = 127.0.0.1
port = %http%
[tcp]
bind_to_address = 127.0.0.1
port = %control%
[stream]
bind_to_address = 127.0.0.1
port = %snap%
source = pipe://%dir%/fifo?name=default
"""},
    # it announces itself by way of Avahi, which it must not find
    env={"DBUS_SYSTEM_BUS_ADDRESS": "unix:path={dir}/none", "HOME": "{dir}"},
    commands=("snapserver -c {dir}/snapserver.conf",),
    probes=(Probe("ws://127.0.0.1:{http}/jsonrpc", "WebSocket"),),
)

KAMAILIO = Server(
    name="kamailio",
    packages=("kamailio",),
    program="kamailio",
    ports=(Port("sip", "SIP"),),
    files={"kamailio.cfg": """
#!KAMAILIO
children=1
tcp_children=1
log_stderror=yes
listen=udp:127.0.0.1:%sip%
listen=tcp:127.0.0.1:%sip%
loadmodule "sl.so"
request_route {
  sl_send_reply("200", "OK");
}
"""},
    commands=("kamailio -DD -E -f {dir}/kamailio.cfg -Y {dir} -m 32 -M 4",),
)

NGIRCD = Server(
    name="ngircd",
    packages=("ngircd",),
    program="ngircd",
    ports=(Port("irc", r"\bIRC\b(?!!)"),),
    files={"ngircd.conf": """
[Global]
Name = irc.localhost.example
Info = a test
Listen = 127.0.0.1
Ports = %irc%
MotdPhrase = hello
[Options]
DNS = no
Ident = no
PAM = no
"""},
    commands=("ngircd -n -f {dir}/ngircd.conf",),
)

SERVERS = (COTURN, PROSODY, MUMBLE, SNAPSERVER, KAMAILIO, NGIRCD)
