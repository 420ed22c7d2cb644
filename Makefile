# The two commands to start with are `make demo` and `make test`. Each sets up what it needs.

SWIFT := Scripts/swift

.PHONY: help setup setup-cuda-test build demo test bench bench-peers format lint clean
help:
	@echo "make demo     trains a small network on Fashion-MNIST, draws and saves it"
	@echo "make test     every check and every test; MARTLET_INTEROP=1 adds those that need TensorFlow"
	@echo "make bench    the benchmarks; make bench-peers runs them beside other frameworks, and writes Docs/Benchmarks.md"
	@echo "make build    the library and the command line tool, optimised"
	@echo "make setup    installs what is needed (the others do it too)"
	@echo "make setup-cuda-test installs NVIDIA's compiler for the tests of CUDA kernels, which need no GPU"
	@echo "make format   puts all Swift files into the project's style; make lint only checks"
	@echo "make clean    removes what was built"

setup:
	@Scripts/setup

setup-cuda-test:
	@Scripts/setup-cuda-test

build: setup
	$(SWIFT) build -c release

demo: setup
	$(SWIFT) run -c release --package-path Examples/FashionMNIST FashionMNIST

test: setup
	Scripts/check
	if [ "$$MARTLET_INTEROP" = 1 ]; then MARTLET_TF_PYTHON=$$(Scripts/interop/python) $(SWIFT) test; else $(SWIFT) test; fi
	Scripts/test-dependency

bench: setup
	$(SWIFT) run -c release martlet bench all

bench-peers: setup
	Benchmarks/compare

format:
	$(SWIFT) format -i --parallel --recursive Sources Tests Examples Package.swift

lint:
	Scripts/check

clean:
	rm -rf .build .build-dependency .build-nvrtc Benchmarks/.build Examples/*/.build
