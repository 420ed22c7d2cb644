import ArgumentParser
import Martlet

/// `NAME=FILE.npy`: the array that is fed for a value.
struct FeedArgument: ExpressibleByArgument {
  var name: String
  var path: String

  init?(argument: String) {
    guard let (name, path) = split(argument), !path.isEmpty else { return nil }
    (self.name, self.path) = (name, path)
  }
}

/// `NAME=1,28,28,1`: the extents of an input; none for a single number.
struct ShapeArgument: ExpressibleByArgument {
  var name: String
  var extents: [Int]

  init?(argument: String) {
    guard let (name, text) = split(argument) else { return nil }
    let parts = text.isEmpty ? [] : text.split(separator: ",", omittingEmptySubsequences: false)
    let extents = parts.compactMap { Int($0) }
    guard extents.count == parts.count, extents.allSatisfy({ $0 >= 0 }) else { return nil }
    (self.name, self.extents) = (name, extents)
  }
}

/// The two sides of the first equals sign; nil if the left one is empty.
private func split(_ argument: String) -> (name: String, value: String)? {
  guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
  return (String(argument[..<equals]), String(argument[argument.index(after: equals)...]))
}

/// `cpu`, `cuda:0`, or `interpreter`, which is slow and the reference for the others.
struct DeviceArgument: ExpressibleByArgument {
  let device: SessionOptions.Device

  init?(argument: String) {
    guard let device = try? SessionOptions.Device(argument) else { return nil }
    self.device = device
  }
}
