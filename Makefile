# `make` lists what there is.

CARGO ?= cargo
SEEDS ?= 10000
PREFIX ?= /usr/local

.DEFAULT_GOAL := help
.PHONY: help deps build demo test fmt clippy unit simulation differential balancing docs deny bench bench-balancing fuzz install

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what building and testing need (Debian, Ubuntu), if it is missing
	@tools/deps test

build: ## Build the release binary: target/release/standfast
	$(CARGO) build --release --locked -p standfast

demo: ## See a failover with your own eyes: two nodes, a client, a switch, one minute
	@tools/deps demo
	$(CARGO) build --release --locked -p standfast
	@target/release/standfast demo

test: deps fmt clippy unit simulation differential balancing docs deny ## Everything that CI runs

fmt: ## Is everything formatted?
	$(CARGO) fmt --all --check

clippy: ## Lints; warnings are errors
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

unit: ## Unit, property and integration tests of all crates
	$(CARGO) test --workspace --exclude standfast-lab --locked
	$(CARGO) test -p standfast-lab --lib --locked

simulation: ## The cluster simulation, SEEDS=10000 of them
	$(CARGO) run --release --locked -q -p standfast-vrrp --example simulate -- --seeds $(SEEDS)

differential: ## The same scenarios with Keepalived and with Standfast on either side
	$(CARGO) build --locked -p standfast
	$(CARGO) test -p standfast-lab --test differential --locked

# cargo starts the test program in the machine that has IPVS.
IN_VM = --config 'target."cfg(all())".runner = ["$(CURDIR)/tools/vm", "--if-needed", "--memory", "2048"]'

balancing: ## The same servers, clients and failures with Keepalived and with Standfast, on IPVS
	$(CARGO) test -p standfast-netlink --test ipvs_kernel --locked $(IN_VM)
	$(CARGO) build --locked -p standfast
	$(CARGO) test -p standfast-lab --test balancing --locked

docs: ## Build the documentation; warnings are errors
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

deny: ## Licences, sources and bans of dependencies
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked
	$(CARGO) deny --workspace --locked check --hide-inclusion-graph bans licenses sources

bench: ## Side by side with Keepalived, as ratios (minutes)
	@tools/deps test
	$(CARGO) build --release --locked -p standfast -p standfast-bench
	target/release/standfast-bench

bench-balancing: ## The same for load balancing, on a kernel with IPVS (minutes)
	@tools/deps test
	$(CARGO) build --release --locked -p standfast -p standfast-bench
	tools/vm --if-needed --memory 3072 --limit 3600 -- target/release/standfast-bench balancing

fuzz: ## Fuzz every parser of outside bytes for a minute each
	@command -v cargo-fuzz >/dev/null || $(CARGO) install cargo-fuzz --locked
	cd fuzz && for target in $$(cargo fuzz list); do \
		RUSTC_BOOTSTRAP=1 cargo fuzz run $$target -- -max_total_time=60 || exit 1; done

install: build ## Install under PREFIX=/usr/local (DESTDIR for packagers)
	install -D -m 0755 target/release/standfast $(DESTDIR)$(PREFIX)/sbin/standfast
	ln -sf standfast $(DESTDIR)$(PREFIX)/sbin/keepalived
	ln -sf standfast $(DESTDIR)$(PREFIX)/sbin/genhash
	install -D -m 0644 packaging/standfast.service \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/standfast.service
