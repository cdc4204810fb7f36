"""Logins, mail and files."""
from __future__ import annotations

from catalogue import Port, Server

SSHD = Server(
    name="sshd",
    packages=("openssh-server",),
    program="sshd",
    ports=(Port("ssh", "SSH"),),
    files={"sshd.conf": "ListenAddress 127.0.0.1:%ssh%\nHostKey %dir%/key\nPidFile none\nUsePAM no\nUseDNS no\n"},
    setup=("ssh-keygen -q -t ed25519 -N '' -f {dir}/key",),
    commands=("{program} -D -e -f {dir}/sshd.conf",),
)

DOVECOT = Server(
    name="dovecot",
    packages=("dovecot-imapd", "dovecot-pop3d"),
    program="dovecot",
    ports=(Port("imap", "IMAP"), Port("pop3", "POP3"), Port("imaps", "IMAP", tls=True)),
    files={"dovecot.conf": """
base_dir = %dir%/run
state_dir = %dir%/state
log_path = /dev/stderr
protocols = imap pop3
listen = 127.0.0.1
default_internal_user = %user%
default_internal_group = %group%
default_login_user = %user%
ssl = yes
ssl_cert = <%tls%/server.pem
ssl_key = <%tls%/server.key
ssl_dh =
passdb {
  driver = static
  args = password=secret
}
userdb {
  driver = static
  args = uid=%user% gid=%group% home=%dir%/home
}
service anvil {
  chroot =
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %imap%
  }
  inet_listener imaps {
    port = %imaps%
    ssl = yes
  }
}
service pop3-login {
  chroot =
  inet_listener pop3 {
    port = %pop3%
  }
  inet_listener pop3s {
    port = 0
  }
}
"""},
    commands=("dovecot -F -c {dir}/dovecot.conf",),
)

AIOSMTPD = Server(
    name="aiosmtpd",
    packages=("python3-aiosmtpd",),
    program="/usr/bin/python3",
    ports=(Port("smtp", r"\bSMTP\b(?! \d)"),),
    commands=("/usr/bin/python3 -m aiosmtpd -n -l 127.0.0.1:{smtp} -c aiosmtpd.handlers.Sink",),
)

VSFTPD = Server(
    name="vsftpd",
    packages=("vsftpd",),
    program="vsftpd",
    ports=(Port("ftp", r"\bFTP\b"),),
    files={"vsftpd.conf": """
listen=YES
listen_ipv6=NO
listen_address=127.0.0.1
listen_port=%ftp%
background=NO
run_as_launching_user=YES
connect_from_port_20=NO
seccomp_sandbox=NO
anonymous_enable=YES
anon_root=%dir%
secure_chroot_dir=%dir%
"""},
    commands=("vsftpd {dir}/vsftpd.conf",),
)

SERVERS = (SSHD, DOVECOT, AIOSMTPD, VSFTPD)
