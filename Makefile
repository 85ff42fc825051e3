# One word for each thing that is done often. `make` alone lists them.

CARGO ?= cargo
.DEFAULT_GOAL := help
.PHONY: help run rush test drills bench lint mutants fmt doc package tools

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: tools ## Serve on 127.0.0.1:8080 with a demo catalog; data goes to ./data
	$(CARGO) run --locked --profile quick --bin boxoffice -- serve --demo

rush: tools ## Send a crowd of buyers to that server; RUSH="--buyers 500" for fewer, RUSH=--help for all options
	$(CARGO) run --locked --profile quick --package boxoffice-rush --bin boxoffice-rush -- $(RUSH)

test: tools ## Run every test; fetches the database servers that it needs
	tests/run

drills: tools ## Break the parts of a deployment on purpose and show what buyers see; DRILLS=databases for some
	tests/drills $(DRILLS)

bench: tools ## Measure everything, which takes long; BENCH="--only holds" for less
	tests/servers/install
	$(CARGO) build --locked --release --package boxoffice
	$(CARGO) build --locked --release --package boxoffice-bench
	$${CARGO_TARGET_DIR:-target}/release/boxoffice-bench --binary $${CARGO_TARGET_DIR:-target}/release/boxoffice $(BENCH)

lint: tools ## Check formatting, lints, documentation and dependencies
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --locked --workspace --no-deps
	@if command -v npm >/dev/null; then crates/pages/check; else \
	  echo "NOT CHECKED: the scripts and styles of the pages. It takes npm." >&2; \
	fi
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
	  $(CARGO) deny --workspace --locked check bans licenses sources; \
	else \
	  echo "NOT CHECKED: licences and sources of the dependencies. It takes: cargo install cargo-deny --locked" >&2; \
	fi

mutants: tools ## Change the code in small ways, one at a time, and see that a test fails each time; takes hours
	.ci/mutants

fmt: tools ## Format the code
	$(CARGO) fmt --all

doc: tools ## Build the documentation of the crates
	$(CARGO) doc --locked --workspace --no-deps
	@echo "open $${CARGO_TARGET_DIR:-target}/doc/boxoffice_domain/index.html"

package: tools ## Make the Debian package, with the list of its components, in target/package
	crates/app/packaging/build

tools:
	@command -v $(CARGO) >/dev/null || { \
	  echo "error: cargo is needed. Install rustup; rust-toolchain.toml then brings the right compiler." >&2; exit 1; }
	@command -v cc >/dev/null || { \
	  echo "error: a C compiler is needed, for the SQLite that is built in (Debian: apt-get install gcc libc6-dev)." >&2; exit 1; }
