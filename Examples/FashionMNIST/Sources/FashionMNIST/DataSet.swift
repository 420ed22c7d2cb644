import Foundation
import Martlet

/// Images and their labels, from the IDX files of MNIST and its relatives, plain or compressed.
struct DataSet {
  /// `uint8[count, height, width]`
  let images: Tensor
  /// `int32[count]`
  let labels: Tensor

  var count: Int { images.shape[0] }

  /// - Parameter part: what the files' names begin with: `train`, or `t10k` for the test images.
  init(folder: String, part: String) throws {
    images = try Self.read(folder, "\(part)-images-idx3-ubyte")
    let bytes = try Self.read(folder, "\(part)-labels-idx1-ubyte")
    guard images.rank == 3, bytes.rank == 1, images.shape[0] == bytes.shape[0] else {
      throw Diagnostic(
        "the files of '\(part)' in \(folder) do not belong together", required: "n images and n labels",
        found: "\(images.type) and \(bytes.type)")
    }
    labels = Tensor(bytes.scalars(as: UInt8.self).map { Int32($0) })
  }

  private static func read(_ folder: String, _ name: String) throws -> Tensor {
    let path = "\(folder)/\(name)"
    let tensor = try IDX.read(FileManager.default.fileExists(atPath: path) ? path : path + ".gz")
    guard tensor.elementType == .uint8 else {
      throw Diagnostic("\(path) does not hold bytes", required: "uint8", found: "\(tensor.type)")
    }
    return tensor
  }

  /// The images and labels at `indices`, copied side by side.
  func batch(_ indices: ArraySlice<Int>) -> (images: Tensor, labels: Tensor) {
    var batch = Tensor(uninitialized: .uint8, shape: [indices.count] + images.shape.dropFirst())
    let size = images.byteCount / count
    images.withUnsafeBytes { source in
      batch.withUnsafeMutableBytes { target in
        for (row, index) in indices.enumerated() {
          target[(row * size)...].copyBytes(from: source[index * size..<(index + 1) * size])
        }
      }
    }
    let labels = labels.withUnsafeBufferPointer(of: Int32.self) { all in indices.map { all[$0] } }
    return (batch, Tensor(labels))
  }
}
