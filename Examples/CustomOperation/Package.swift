// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "CustomOperation",
  dependencies: [.package(name: "martlet", path: "../..")],
  targets: [
    .executableTarget(name: "CustomOperation", dependencies: [.product(name: "Martlet", package: "martlet")])
  ]
)
