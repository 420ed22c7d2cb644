// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "LargeGraph",
  dependencies: [.package(name: "martlet", path: "../..")],
  targets: [
    .executableTarget(name: "LargeGraph", dependencies: [.product(name: "Martlet", package: "martlet")])
  ]
)
