# Everything starts here: make help. On a bare Debian 12 only Go and make need to be there.
# `make test` and `make demo` want root (sudo make test): they build networks in namespaces of
# their own and run libvirtd there. Nothing of the host's own network or libvirt is touched.

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# Where Go's own installer puts it; sudo leaves it out of PATH. And what deps.sh has
# taken out of packages that would run daemons.
export PATH := $(PATH):/usr/local/go/bin:$(CURDIR)/build/tools

# A clone that belongs to somebody else tells root nothing of its history.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

PREFIX      ?= /usr/local
FUZZTIME    ?= 30s
VERSION     := $(shell hack/version)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
# -race needs cgo, cgo needs a C compiler.
RACE        := $(if $(shell command -v gcc),-race)

.PHONY: help deps build man completions packages release image roots test demo bench lint vet fuzz install clean

help: ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/\1\t\2/p' Makefile | expand -t 10

deps: ## install what is missing here: go-libvirt, libvirt, QEMU, ... (by apt)
	@hack/deps.sh go test

build: ## build/bin/virt-mtu and build/bin/qemu-hook, static
	@hack/deps.sh go
	@mkdir -p build/bin
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o build/bin/ ./cmd/...

man: ## build/man: a page for every command, virt-mtu-config(5), virt-mtu-hook(7), virt-mtu-qemu-hook(8)
	@hack/deps.sh go
	@rm -rf build/man
	go run -tags man -ldflags "-X main.version=$(VERSION)" ./cmd/virt-mtu man . build/man

completions: build ## build/completions: for bash, zsh and fish
	@mkdir -p build/completions
	build/bin/virt-mtu completion bash >build/completions/virt-mtu.bash
	build/bin/virt-mtu completion zsh >build/completions/_virt-mtu
	build/bin/virt-mtu completion fish >build/completions/virt-mtu.fish

packages: ## build/packages: .deb and .rpm for amd64 and arm64; VERSION=1.2.3
	@hack/deps.sh go
	@rm -rf build/packages
	@VERSION='$(VERSION)' packaging/packages build/packages
	@ls -1 build/packages

release: ## build/release: tarballs, packages, collection, SBOMs, notes; VERSION=1.2.3
	@hack/deps.sh go release
	@VERSION='$(VERSION)' packaging/release build/release
	@ls -1 build/release

image: deps
	@test/lab/lab image

roots: deps ## file systems of Debian 12 and 13 for tests in containers, by debootstrap
	@test/container/roots

test: deps build image $(if $(CI),lint,vet) ## every test, on real libvirt and QEMU where root; lint too where CI is set
	@[ "$$(id -u)" = 0 ] || echo "make: not root: the tests on a real kernel and libvirt will be skipped (sudo make test)" >&2
	@# The roots of containers are made meanwhile; who needs one waits for it.
	@roots=; [ "$$(id -u)" != 0 ] || { test/container/roots & roots=$$!; }; \
	echo go test $(RACE) -count=1 -timeout 40m ./...; \
	status=0; go test $(RACE) -count=1 -timeout 40m ./... || status=$$?; \
	[ -z "$$roots" ] || wait "$$roots" || status=$$?; \
	exit $$status

demo: build image ## a host with a jumbo bridge, a guest that misses it, and virt-mtu putting it right
	@hack/demo.sh

bench: build image ## the hook and fix against other ways to do the same, as ratios of one run
	@hack/deps.sh bench
	test/bench/hook.sh
	test/bench/fix.sh
	test/bench/check.sh
	test/bench/watch.sh

vet:
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted" >&2; exit 1; }
	go vet ./...

lint: vet ## gofmt, go vet, staticcheck, shellcheck
	go run $(STATICCHECK) ./...
	@hack/deps.sh lint
	@find .ci hack hooks packaging test -type f -exec awk 'FNR == 1 && /^#!.*(bash|\/sh)$$/ {print FILENAME} {nextfile}' {} + | xargs shellcheck -x -S warning

fuzz: ## each fuzz target for FUZZTIME (30s)
	@grep -rlE '^func Fuzz' --include '*_test.go' . | while read -r file; do \
		for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file"); do \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")"; \
		done; \
	done

install: build man completions ## into PREFIX (/usr/local); then: virt-mtu hook install
	install -D -m 0755 build/bin/virt-mtu $(DESTDIR)$(PREFIX)/bin/virt-mtu
	install -D -m 0755 build/bin/qemu-hook $(DESTDIR)$(PREFIX)/sbin/virt-mtu-qemu-hook
	for page in build/man/man*/*; do install -D -m 0644 $$page $(DESTDIR)$(PREFIX)/share/$${page#build/}; done
	install -D -m 0644 build/completions/virt-mtu.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/virt-mtu
	install -D -m 0644 build/completions/_virt-mtu $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_virt-mtu
	install -D -m 0644 build/completions/virt-mtu.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/virt-mtu.fish

clean: ## what was built
	rm -rf build
