// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "FashionMNIST",
  dependencies: [
    .package(name: "martlet", path: "../.."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
  ],
  targets: [
    .executableTarget(
      name: "FashionMNIST",
      dependencies: [
        .product(name: "Martlet", package: "martlet"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ])
  ]
)
