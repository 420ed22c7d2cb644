// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "Benchmarks",
  dependencies: [.package(name: "martlet", path: "..")],
  targets: [
    .executableTarget(name: "CompileScale", dependencies: [.product(name: "Martlet", package: "martlet")]),
    .executableTarget(name: "GraphScale", dependencies: [.product(name: "Martlet", package: "martlet")]),
  ]
)
