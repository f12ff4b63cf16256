# Bramble. `make help` tells what there is.
.DEFAULT_GOAL := help
SHELL := /bin/sh

MACHINE := $(shell uname -m)
NODE_ARCH := $(if $(filter aarch64 arm64,$(MACHINE)),arm64,x64)
RUNTIME := node_modules/node-linux-$(NODE_ARCH)/bin/node
# The project brings its own runtime: what `node` is on the machine does not matter.
export PATH := $(CURDIR)/node_modules/node-linux-$(NODE_ARCH)/bin:$(CURDIR)/node_modules/.bin:$(CURDIR)/node_modules/@biomejs/cli-linux-$(NODE_ARCH):$(PATH)

VERSION := $(shell sed -n 's/^  "version": "\(.*\)",$$/\1/p' package.json)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
SOURCES := $(shell find agent bin ctl ipam plugin -name '*.ts')

DEBIAN_PACKAGES := gcc libc6-dev prometheus iproute2 iptables iputils-ping procps busybox-static containerd runc \
  containernetworking-plugins libnftables1 nftables redis-server openssl tcpdump wireguard-tools gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static \
  qemu-system-x86 kmod xz-utils mmdebstrap debian-archive-keyring qemu-system-arm systemd udev

help: ## what there is to make
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

setup: node_modules/.package-lock.json | packages ## Debian packages and npm packages, as locked

packages:
	@missing=$$(for p in $(DEBIAN_PACKAGES); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  [ -z "$(SUDO)" ] || command -v sudo >/dev/null || { echo "Debian packages are missing, and there is no sudo; as root, once: apt-get install "$$missing; exit 1; }; \
	  echo "installing: "$$missing; \
	  $(SUDO) apt-get update -qq && DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install -qq --no-install-recommends $$missing >/dev/null; \
	fi

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-fund --no-audit --loglevel=error
	@touch $@

build: dist/bin/bramble dist/bin/bramble-agent dist/bin/bramblectl ## dist/: plugin, agent, tool, with their runtime

dist/bin/bramble: plugin/shim.c plugin/cc-flags package.json | packages
	@mkdir -p dist/bin
	$(CC) @plugin/cc-flags -DBRAMBLE_VERSION='"$(VERSION)"' -o $@ plugin/shim.c

dist/bin/bramble-agent dist/bin/bramblectl: dist/bin/%: bin/launcher.sh dist/lib/%.mjs dist/lib/node
	@mkdir -p dist/bin
	install -m 755 bin/launcher.sh $@

dist/lib/bramble-agent.mjs dist/lib/bramblectl.mjs &: $(SOURCES) package.json node_modules/.package-lock.json
	@rm -rf dist/lib/*.mjs dist/lib/node_modules
	esbuild bin/bramble-agent.ts bin/bramblectl.ts --outdir=dist/lib --out-extension:.js=.mjs \
	  --bundle --splitting --platform=node --target=node24 --format=esm --minify-syntax --log-level=warning \
	  --external:koffi --external:netlink \
	  --define:process.env.BRMTEST_FAULT=undefined --define:process.env.BRAMBLE_BUILD_VERSION='"$(VERSION)"' \
	  --banner:js='import{createRequire as makeRequire}from"node:module";const require=makeRequire(import.meta.url);'
	@# The two packages with native parts, as they are.
	@mkdir -p dist/lib/node_modules/@koromix
	cp -r node_modules/koffi node_modules/netlink node_modules/node-gyp-build dist/lib/node_modules
	cp -r node_modules/@koromix/koffi-linux-$(NODE_ARCH) dist/lib/node_modules/@koromix

dist/lib/node: node_modules/.package-lock.json
	@mkdir -p dist/lib
	cp $(RUNTIME) $@

image: dist/image/bramble-amd64.tar dist/image/bramble-arm64.tar ## OCI images, for ctr, docker and podman to load

dist/image/bramble-%.tar: dist/bin/bramble-agent dist/bin/bramblectl plugin/shim.c plugin/cc-flags $(wildcard deploy/image/*.ts) | packages
	node deploy/image/build.ts $*

package: dist/bin/bramble-agent dist/bin/bramblectl | packages ## archives for hosts without Kubernetes, with their checksums
	node deploy/package/build.ts

check: setup ## types, lint, format, import rules
	tsc -p .
	biome check .
	node test/imports.ts

test: setup build image node_modules/.tap-built ## all tests (as root: they make network namespaces)
	@# What Node has compiled once, a thousand processes need not compile again. The end of the output tells what failed: often
	@# no more than that is kept.
	$(SUDO) env PATH="$$PATH" NODE_COMPILE_CACHE=$(CURDIR)/.tap/compile-cache tap run --reporter=terse --output-file=.tap/output || { code=$$?; node test/failures.ts .tap/output; exit $$code; }

# tap is put together from its plugins once; without this the first run still has the one that .taprc leaves out.
node_modules/.tap-built: .taprc node_modules/.package-lock.json
	tap build >/dev/null
	@touch $@

test-vm: writable setup build ## the tests that need another kernel than this machine's, in virtual machines (no root needed, no KVM)
	node test/vm/run.ts

# What root has built once, nobody else can build anew.
writable:
	@for path in . node_modules dist dist/lib; do [ ! -e $$path ] || [ -w $$path ] || \
	  { echo "$$path in $(CURDIR) is not $$(id -un)'s to write: chown -R $$(id -un) $(CURDIR) as root, or take a clone of your own"; exit 1; }; done

manifests: ## the Kustomize overlay and the Helm chart, from deploy/bramble.yaml
	node deploy/generate.ts

demo: build ## two pods in scratch namespaces: wired, shown, pinged, timed, gone again
	@$(SUDO) env PATH="$$PATH" node test/demo.ts

demo-policy: build ## three pods and a policy: denied, explained, previewed, allowed
	@$(SUDO) env PATH="$$PATH" node test/demo-policy.ts

bench: build ## one table of timings and footprint; also bench/results.json
	$(SUDO) env PATH="$$PATH" node bench/run.ts

clean: ## what was built
	rm -rf dist .tap

.PHONY: help setup packages writable build manifests image package check test test-vm demo demo-policy bench clean
