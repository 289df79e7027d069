# make test installs what it needs on Debian and Ubuntu; the rest needs Go alone.

GO ?= go
ORACLE = ^(TestCorpus|TestGenerated)$$
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2

# What pasvport is built for beside Linux. Of all four the compiler sees the program
# and vet its tests too: minutes with an empty build cache, seconds ever after.
PLATFORMS = darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# How to run a test as root.
ifneq ($(shell id -u),0)
AS_ROOT = -exec "sudo -E env PATH=$$PATH"
endif

.PHONY: build demo test huge fuzz bench profile

build:
	$(GO) build -trimpath -o pasvport ./cmd/pasvport

# An SSH server and an FTP server inside one program, to try pasvport on.
demo:
	$(GO) run ./examples/demo

# The FTP servers of the end-to-end tests want root, and only those tests get it.
# Nothing is taken from the cache, which does not see the programs under test. The
# comparison with ssh -G runs by itself, to show its counts.
test:
	test/setup.sh
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt -w $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags huge,profile ./test
	@for platform in $(PLATFORMS); do \
		echo "build and vet for $$platform"; \
		export GOOS=$${platform%/*} GOARCH=$${platform#*/}; \
		$(GO) build ./... && $(GO) vet ./... || exit 1; \
	done
	$(GO) run $(STATICCHECK) ./...
	$(GO) test -race -count=1 -v -run '$(ORACLE)' ./sshconf
ifndef AS_ROOT
	$(GO) test -race -count=1 -timeout 15m -skip '$(ORACLE)' ./...
else
	$(GO) test -race -count=1 -timeout 15m -skip '$(ORACLE)' $$($(GO) list ./... | grep -v '/test$$')
	$(GO) test -race -count=1 -timeout 15m $(AS_ROOT) ./test
endif

# 10 GiB each way, as root or through sudo.
huge:
	test/setup.sh
	$(GO) test -count=1 -timeout 60m -tags huge -v -run TestHuge $(AS_ROOT) ./test

# A minute for each fuzz target.
fuzz:
	@for package in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$package | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime 60s -fuzzminimizetime 10x $$package || exit 1; \
		done; \
	done

# Measures pasvport beside FTP without a tunnel and other ways through SSH: 20 minutes. As root, over an
# emulated link; without root the ways through SSH alone.
bench:
	test/setup.sh rclone
	$(GO) run ./test/bench -json test/bench/result.json -svg test/bench/result.svg

# Where the processor's time goes in transfers of 2 GiB each way.
profile:
	test/setup.sh
	@out=$$(mktemp -d) && for way in download upload; do \
		$(GO) test -count=1 -tags profile -v -run "TestProfile/$$way" -outputdir "$$out" -cpuprofile $$way -o "$$out/test" $(AS_ROOT) ./test && \
		$(GO) tool pprof -top -nodecount 30 "$$out/test" "$$out/$$way" || exit 1; \
	done; echo "all of it: go tool pprof $$out/test $$out/download"
