// swift-tools-version: 6.2
import PackageDescription

// The targets stand in the order in which a program travels through them; a target imports only targets above it.

/// Warnings are errors in this package and are ignored when Martlet is a dependency.
let settings: [SwiftSetting] = [.treatAllWarnings(as: .error)]

let package = Package(
  name: "martlet",
  products: [
    .library(name: "Martlet", targets: ["Martlet"]),
    .executable(name: "martlet", targets: ["martlet-cli"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
  ],
  targets: [
    // MARK: C libraries: declarations and small glue only

    /// The worker team, the loaders of libgomp, OpenBLAS, oneDNN, LLVM, CUDA's libraries and zlib, and frame-pointer walks.
    .target(name: "CMartletRuntime"),
    /// protobuf-c, the only C library that is linked.
    .systemLibrary(name: "CProtobufC", pkgConfig: "libprotobuf-c", providers: [.apt(["libprotobuf-c-dev"])]),
    /// The C code that protoc-c generates from our schema files.
    .target(name: "CMartletProtos", dependencies: ["CProtobufC"], exclude: ["schema"]),

    // MARK: Layer 0: data and messages

    /// Element types, shapes with known and symbolic dimensions, host tensors and their page pool, Philox.
    .target(name: "MartletTensors", swiftSettings: settings),
    /// A diagnostic as data, its notes and build site, collection and rendering.
    .target(name: "MartletDiagnostics", dependencies: ["CMartletRuntime"], swiftSettings: settings),

    // MARK: Layer 1: kernels

    /// Scalars, stages, nests and schedules, with simplifier, verifier, printer and interpreter.
    .target(name: "MartletLoopIR", dependencies: ["MartletTensors"], swiftSettings: settings),

    // MARK: Layer 2: the graph

    /// Graph, sub-graphs, the Operation protocol, schemas, attributes, verifier and text form.
    .target(
      name: "MartletGraph", dependencies: ["MartletTensors", "MartletDiagnostics", "MartletLoopIR"],
      swiftSettings: settings),

    // MARK: Layer 3: the vocabulary of operations and of rewriting

    /// One place an operation, grouped in folders by family; `Catalog.swift` lists them.
    .target(
      name: "MartletOperations",
      dependencies: ["MartletTensors", "MartletDiagnostics", "MartletLoopIR", "MartletGraph"],
      swiftSettings: settings),
    /// Patterns, rules, passes, pipelines, forms and instruments.
    .target(
      name: "MartletRewriting", dependencies: ["MartletTensors", "MartletDiagnostics", "MartletGraph"],
      swiftSettings: settings),

    // MARK: Layer 4: what is done with a graph

    /// The concrete passes and rule sets, one file each.
    .target(
      name: "MartletPasses",
      dependencies: [
        "MartletTensors", "MartletDiagnostics", "MartletLoopIR", "MartletGraph", "MartletOperations",
        "MartletRewriting",
      ], swiftSettings: settings),
    /// Reverse-mode differentiation; asks each operation for its rule.
    .target(
      name: "MartletGradients",
      dependencies: [
        "MartletTensors", "MartletDiagnostics", "MartletGraph", "MartletOperations", "MartletRewriting",
        "MartletPasses",
      ], swiftSettings: settings),
    /// GraphDef in binary and text, npy and IDX: in and out.
    .target(
      name: "MartletFormats",
      dependencies: [
        "CMartletProtos", "CMartletRuntime", "MartletTensors", "MartletDiagnostics", "MartletGraph",
        "MartletOperations",
      ], swiftSettings: settings),

    // MARK: Layer 5: the user's surface, and plans

    /// What users write: placeholders, variables, initialisers, scopes, layers, optimizers.
    .target(
      name: "MartletFrontend",
      dependencies: ["MartletTensors", "MartletDiagnostics", "MartletGraph", "MartletOperations", "MartletGradients"],
      swiftSettings: settings),
    /// Kernels to steps, then memory, then an `ExecutionPlan`. Never imports operations.
    .target(
      name: "MartletScheduling",
      dependencies: ["MartletTensors", "MartletDiagnostics", "MartletLoopIR", "MartletGraph"],
      swiftSettings: settings),
    /// DOT of graphs and plans.
    .target(
      name: "MartletVisualization",
      dependencies: ["MartletTensors", "MartletDiagnostics", "MartletGraph", "MartletScheduling"],
      swiftSettings: settings),

    // MARK: Layer 6: running a plan

    /// Backends, bound plans, plan instances, runs and their trace.
    .target(
      name: "MartletExecution",
      dependencies: [
        "CMartletRuntime", "MartletTensors", "MartletDiagnostics", "MartletLoopIR", "MartletGraph",
        "MartletScheduling",
      ], swiftSettings: settings),

    // MARK: Layer 7: devices

    /// BLAS and oneDNN calls, LLVM code generation from nests, the worker team.
    .target(
      name: "MartletCPU",
      dependencies: [
        "CMartletRuntime", "MartletTensors", "MartletDiagnostics", "MartletLoopIR", "MartletGraph",
        "MartletScheduling", "MartletExecution",
      ], swiftSettings: settings),

    /// CUDA C from stages, plans on GPUs, and CUDA's libraries, which are loaded at run time. Builds without a GPU.
    .target(
      name: "MartletCUDA",
      dependencies: [
        "CMartletRuntime", "MartletTensors", "MartletDiagnostics", "MartletLoopIR", "MartletGraph", "MartletScheduling",
        "MartletExecution",
      ],
      swiftSettings: settings),

    // MARK: Layer 8: products

    /// What users import: `Session`, and the front end again.
    .target(
      name: "Martlet",
      dependencies: [
        "MartletTensors", "MartletDiagnostics", "MartletLoopIR", "MartletGraph", "MartletOperations",
        "MartletRewriting", "MartletGradients", "MartletPasses", "MartletFormats", "MartletFrontend",
        "MartletScheduling", "MartletVisualization", "MartletExecution", "MartletCPU", "MartletCUDA",
      ], swiftSettings: settings),
    /// The workloads of `martlet bench`, with the data that other frameworks' programs are given.
    .target(name: "MartletWorkloads", dependencies: ["Martlet"], swiftSettings: settings),
    /// The command line.
    .executableTarget(
      name: "martlet-cli",
      dependencies: [
        "CMartletRuntime", "MartletDiagnostics", "MartletCPU", "MartletCUDA", "Martlet", "MartletWorkloads",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      swiftSettings: settings),

    // MARK: Tests, one target for each target above

    .testTarget(name: "CMartletRuntimeTests", dependencies: ["CMartletRuntime"], swiftSettings: settings),
    /// Runs the command line tool as users do.
    .testTarget(name: "MartletCommandTests", dependencies: ["Martlet", "martlet-cli"], swiftSettings: settings),
    /// The numeric gradient check, the operation contract, random graphs, golden files.
    .target(
      name: "MartletTestSupport",
      dependencies: [
        "MartletTensors", "MartletDiagnostics", "MartletLoopIR", "MartletGraph", "MartletOperations",
        "MartletGradients", "Martlet",
      ], path: "Tests/MartletTestSupport", swiftSettings: settings),
  ]
    + [
      "MartletTensors", "MartletDiagnostics", "MartletLoopIR", "MartletGraph", "MartletOperations", "MartletRewriting",
      "MartletGradients", "MartletPasses", "MartletFormats", "MartletFrontend", "MartletScheduling",
      "MartletVisualization", "MartletExecution", "MartletCPU", "MartletCUDA", "Martlet", "MartletWorkloads",
    ].map { name in
      .testTarget(
        name: "\(name)Tests",
        dependencies: (name == "Martlet" ? [] : [.target(name: name)]) + ["Martlet", "MartletTestSupport"],
        swiftSettings: settings)
    }
)
