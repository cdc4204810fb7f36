# The front door: every task is one target, and every target but `check` installs what it needs.
# Targets run one after another, also with `make -j`; cargo itself uses all cores.

.DEFAULT_GOAL := help
.NOTPARALLEL:
unexport MAKEFLAGS # so that cargo does not look for a jobserver that it was not given
SHELL := /bin/sh

CARGO ?= cargo
HARNESS := target/debug/sidetone-harness
AXE := 4.14.1
# where the tests find it
export SIDETONE_AXE := $(CURDIR)/target/axe-$(AXE)/package/axe.min.js
export TARGET ARGS

.PHONY: help deps build sabotage check lint unit web test test-e2e test-foreign foreign-deps probe need-target demo bless bench dist clean

help: ## show this list
	@echo 'Sidetone: real-time audio and video chat, and the harness that proves it works.'
	@echo
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

deps: ## install what the build needs (apt on Debian and Ubuntu; elsewhere it names the packages)
	@$(SHELL) -eu -c "$$DEPS"

build: deps ## build both programs into target/debug
	$(CARGO) build --workspace

sabotage: build ## build the misbehaving server for the negative controls (target/sabotage/sidetone)
	@mkdir -p target/sabotage
	$(CARGO) build --workspace --bin sidetone --features sidetone/sabotage
	@cp target/debug/sidetone target/sabotage/sidetone.new && mv target/sabotage/sidetone.new target/sabotage/sidetone
	@$(CARGO) build --workspace --quiet # puts the honest binary back

check: lint unit ## the contributor's loop: formatting, clippy, unit tests; installs nothing

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy -p sidetone --lib --bins --features sabotage -- -D warnings

unit:
	$(CARGO) test --workspace --lib --bins

web: ## the tests of the page's own modules, without a browser (node)
	node --test harness/tests/web/*.test.mjs

test: deps lint web build sabotage ## everything: formatting, clippy, unit and integration tests, and the main job
	$(CARGO) test --workspace --no-fail-fast
	@$(SHELL) -c "$$END_TO_END"

test-e2e: sabotage ## the main job: a call proved end to end, and every fault named; the report is in reports/latest
	@$(SHELL) -c "$$END_TO_END"

test-foreign: build foreign-deps ## healthy servers of others (nginx, Redis, coturn, ...): none may be called broken; installs them, starts no service
	@python3 harness/tests/foreign/run.py $$ARGS

foreign-deps:
	@$(SHELL) .ci/foreign-deps.sh

probe: need-target build ## look at a running server, layer by layer: make probe TARGET=ws://localhost:7461
	@$(HARNESS) probe $$ARGS "$$TARGET"

need-target:
	@test -n "$$TARGET" || { echo 'make probe needs a target, for instance: make probe TARGET=ws://localhost:7461' >&2; exit 2; }

demo: build ## a call to look at: a server, two bots, and you in this terminal
	@$(SHELL) -eu -c "$$DEMO"

bless: deps ## accept what has changed: snapshots, the JSON schema, the sample reports
	INSTA_UPDATE=always BLESS=1 $(CARGO) test --workspace --lib
	INSTA_UPDATE=always BLESS=1 $(CARGO) test -p sidetone --test it -- commands
	INSTA_UPDATE=always BLESS=1 $(CARGO) test -p sidetone-harness --test it -- sample
	@git status --short -- '*.snap' fixtures/schema reports/sample 2>/dev/null || true

bench: deps ## print the figures that matter next to their targets; never fails because of a figure
	$(CARGO) build --release -p sidetone -p sidetone-harness --bins --examples
	@target/release/examples/idle_connections target/release/sidetone
	@target/release/examples/overhead target/release/sidetone
	@target/release/examples/diagnosis fixtures/evidence
	@target/release/examples/browser target/release/sidetone target/release/sidetone-harness
	@$(SHELL) -eu -c "$$PEERS"
	@$(SHELL) -eu -c "$$BENCH_PROBE"

dist: deps ## release archive with both programs in target/dist
	$(CARGO) build --release --locked -p sidetone -p sidetone-harness
	@$(SHELL) -eu -c "$$PACK"

clean: ## remove what was built (reports stay)
	$(CARGO) clean

define DEPS
say() { printf 'deps: %s\n' "$$*"; }
if ! command -v cargo >/dev/null || ! command -v rustc >/dev/null; then
	say 'cargo or rustc is missing. Install Rust from https://rustup.rs, open a new shell, and try again.' >&2
	exit 1
fi
works() { # can C programs be compiled and linked?
	printf 'int main(void) { return 0; }\n' | cc -x c -o /dev/null - 2>/dev/null
}
packages='' why=''
want() { packages="$$packages $$1"; why="$$why$$1 ($$2), "; }
command -v cc >/dev/null || want gcc 'compiles libopus, links'
works || want libc6-dev 'C headers for libopus'
command -v make >/dev/null || want make 'the build of libopus'
command -v cmake >/dev/null || want cmake 'configures libopus'
as_root='' may_install=yes
command -v apt-get >/dev/null || may_install=''
if [ "$$(id -u)" -ne 0 ]; then
	as_root=sudo
	command -v sudo >/dev/null || may_install=''
fi
install() {
	$$as_root apt-get update -qq
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$$@"
}
if [ -n "$$packages" ]; then
	if ! command -v apt-get >/dev/null; then
		say "missing: $${why%, }." >&2
		say 'install a C compiler, make and cmake with the package manager of this system, and try again' >&2
		exit 1
	fi
	[ -n "$$may_install" ] || { say "as root, run: apt-get install$$packages" >&2; exit 1; }
	say "installing $${why%, }"
	install $$packages
fi
# what follows is for the checks with a browser; without it they are skipped, and say so
browser=''
for name in $${SIDETONE_BROWSER:-} chromium chromium-browser google-chrome google-chrome-stable microsoft-edge brave-browser; do
	[ -n "$$browser" ] || browser=$$(command -v "$$name" || true)
done
if [ -z "$$browser" ]; then
	if [ -n "$$may_install" ]; then
		say 'installing chromium (the browser that the harness drives)'
		install chromium || say 'chromium could not be installed: what needs a browser is skipped' >&2
	else
		say 'there is no browser: what needs one is skipped; install chromium, Chrome, Edge or Brave' >&2
	fi
fi
axe=$(AXE)
if [ ! -f "target/axe-$$axe/package/axe.min.js" ] && command -v npm >/dev/null; then
	say "fetching axe-core $$axe (finds what keeps people from using a page)"
	mkdir -p "target/axe-$$axe"
	if npm pack --silent --pack-destination "target/axe-$$axe" "axe-core@$$axe" >/dev/null; then
		tar -C "target/axe-$$axe" -xzf "target/axe-$$axe/axe-core-$$axe.tgz" package/axe.min.js
	else
		say 'axe-core could not be fetched: the test of accessibility is skipped' >&2
	fi
fi
endef
export DEPS

define END_TO_END
began=$$(mktemp)
code=0
$(HARNESS) run call call-speech call-browser faults --out reports || code=$$?
if [ -n "$$(find -H reports/latest/report.md -newer "$$began" 2>/dev/null)" ]; then
	printf '\nreport: %s\n' "$$(pwd -P)/reports/latest/report.md"
fi
rm -f "$$began"
exit "$$code"
endef
export END_TO_END

define DEMO
dir=$$(mktemp -d)
bots='' server=''
finish() { # the bots before the server, so that nobody tries to come back
	trap '' INT TERM HUP
	for pid in $$bots; do kill "$$pid" 2>/dev/null || true; done
	for pid in $$bots; do wait "$$pid" || true; done
	[ -z "$$server" ] || kill "$$server" 2>/dev/null || true
	wait
	rm -rf "$$dir"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
target/debug/sidetone server --port 0 --websocket-port 0 --no-mdns --name 'the demo' --ready-file "$$dir/ready" \
	>/dev/null 2>"$$dir/server.log" &
server=$$!
tries=0
while [ ! -s "$$dir/ready" ]; do
	if ! kill -0 "$$server" 2>/dev/null || [ "$$tries" -ge 100 ]; then
		echo 'the server did not get ready:' >&2
		cat "$$dir/server.log" >&2
		exit 1
	fi
	tries=$$((tries + 1))
	sleep 0.1
done
address=$$(sed 's/.*"websocket":\["\([^"]*\)".*/\1/' "$$dir/ready")
bot() {
	target/debug/sidetone client "ws://$$address" --name "$$1" --mic "tone:$$2" --video test-pattern \
		>/dev/null 2>"$$dir/$$1.log" &
	bots="$$bots $$!"
}
bot anna 440
bot bert 660
echo "the server listens on ws://$$address; anna hums at 440 Hz and bert at 660 Hz"
if [ -t 0 ] && [ -t 1 ]; then
	target/debug/sidetone client "ws://$$address" --name you
else
	echo 'no terminal here: one snapshot instead'
	target/debug/sidetone client "ws://$$address" --name you --snapshot --snapshot-delay 1s
fi
endef
export DEMO

define PEERS
# what people use today, for the table of broken servers; what cannot be had is left out of it
if [ ! -x target/peers/bin/websocat ]; then
	$(CARGO) install websocat --root target/peers --locked --quiet || echo 'bench: websocat cannot be had' >&2
fi
if [ ! -x target/peers/python/bin/python ]; then
	python3 -m venv target/peers/python && target/peers/python/bin/pip install --quiet websockets || echo 'bench: websockets for Python cannot be had' >&2
fi
if ! command -v nc >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" -eq 0 ]; then
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends netcat-openbsd || echo 'bench: nc cannot be had' >&2
fi
endef
export PEERS

define BENCH_PROBE
# in a network of its own, with an interface that swallows whatever is sent to 10.9.9.2
unshare --map-root-user --net $(SHELL) -eu -c '
	ip link set lo up
	ip link add swallow type veth peer name hole
	ip address add 10.9.9.1/24 dev swallow
	ip link set swallow up
	ip link set hole up
	ip neighbour add 10.9.9.2 lladdr 02:00:00:00:00:02 dev swallow
	exec target/release/examples/probe target/release/sidetone-harness target/release/sidetone target/peers
'
endef
export BENCH_PROBE

define PACK
version=$$(sed -n '/^version = /{s/[^"]*"\(.*\)"/\1/p;q;}' Cargo.toml)
name=sidetone-$$version-$$(rustc -vV | sed -n 's/^host: //p')
for program in sidetone sidetone-harness; do
	if target/release/$$program server --help 2>/dev/null | grep -q -- --sabotage; then
		echo 'dist: this binary can misbehave on purpose; it must not be shipped' >&2
		exit 1
	fi
done
rm -rf "target/dist/$$name" "target/dist/$$name.tar.gz"
mkdir -p "target/dist/$$name"
cp target/release/sidetone target/release/sidetone-harness README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE \
	fixtures/schema/report.schema.json "target/dist/$$name/"
tar -C target/dist -czf "target/dist/$$name.tar.gz" "$$name"
printf 'target/dist/%s (%s)\n' "$$name.tar.gz" "$$(du -h "target/dist/$$name.tar.gz" | cut -f 1)"
if command -v ldd >/dev/null; then
	needs=$$(ldd target/release/sidetone target/release/sidetone-harness | awk '/=>/ { print $$1 }' | sort -u | tr '\n' ' ')
	echo "needs at run time: $$needs"
fi
endef
export PACK
