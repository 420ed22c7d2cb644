import Foundation
import Testing

@testable import MartletCUDA

/// Where CUDA's libraries are looked for, over folders of the test's own.
struct CUDALibrarySearchTests {
  private final class Tree {
    let root = FileManager.default.temporaryDirectory.appending(path: "martlet-search-\(UUID().uuidString)").path

    init(_ files: [String]) throws {
      for file in files {
        let path = URL(filePath: root + file)
        try FileManager.default.createDirectory(
          at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
        _ = FileManager.default.createFile(atPath: path.path, contents: Data(), attributes: [.posixPermissions: 0o755])
      }
    }
    deinit { try? FileManager.default.removeItem(atPath: root) }
  }

  @Test func findsToolkitsAndPackages() throws {
    let tree = try Tree([
      "/usr/local/cuda-12.9/lib64/libcublasLt.so.12", "/usr/local/cuda-12.10/lib64/libcublasLt.so.12",
      "/usr/local/cuda-13.0/lib64/libcublasLt.so.13", "/usr/local/cuda-13.0/lib64/libnvrtc.so.13",
      "/venv/bin/python3", "/venv/lib/python3.12/site-packages/nvidia/cudnn/lib/libcudnn.so.9",
      "/venv/lib/python3.12/site-packages/nvidia/cu13/lib/libcublasLt.so.13",
      "/usr/lib/python3/dist-packages/nvidia/cublas/lib/libcublasLt.so.12",
    ])
    let search = CUDALibrarySearch(environment: ["PATH": "\(tree.root)/venv/bin"], root: tree.root)
    #expect(
      search.candidates(for: .cublasLt) == [
        "libcublasLt.so.13", "\(tree.root)/usr/local/cuda-13.0/lib64/libcublasLt.so.13",
        "\(tree.root)/venv/lib/python3.12/site-packages/nvidia/cu13/lib/libcublasLt.so.13", "libcublasLt.so.12",
        "\(tree.root)/usr/local/cuda-12.10/lib64/libcublasLt.so.12",
        "\(tree.root)/usr/local/cuda-12.9/lib64/libcublasLt.so.12",
        "\(tree.root)/usr/lib/python3/dist-packages/nvidia/cublas/lib/libcublasLt.so.12",
      ])
    #expect(
      search.candidates(for: .cudnn) == [
        "libcudnn.so.9", "\(tree.root)/venv/lib/python3.12/site-packages/nvidia/cudnn/lib/libcudnn.so.9",
      ])
    #expect(search.candidates(for: .driver) == ["libcuda.so.1"])
    #expect(
      search.places(for: .cudnn).hasSuffix(
        "and in nvidia/*/lib of \(tree.root)/venv/lib/python3.12/site-packages and 1 other folder of packages"))
  }

  /// A Python in a virtual environment of its own, one behind a symbolic link, and one behind pyenv's scripts.
  @Test func findsPackagesOfPythons() throws {
    let tree = try Tree([
      "/active/lib/python3.11/site-packages/nvidia/a", "/opt/python/bin/python3.13",
      "/opt/python/lib/python3.13/site-packages/nvidia/b", "/home/.pyenv/shims/python3",
      "/home/.pyenv/versions/3.10.1/lib/python3.10/site-packages/nvidia/c",
      "/home/.local/lib/python3.9/site-packages/nvidia/d",
    ])
    try FileManager.default.createDirectory(atPath: "\(tree.root)/bin", withIntermediateDirectories: true)
    try FileManager.default.createSymbolicLink(
      atPath: "\(tree.root)/bin/python3", withDestinationPath: "\(tree.root)/opt/python/bin/python3.13")
    func holders(_ path: String) -> [String] {
      let environment = [
        "PATH": tree.root + path, "VIRTUAL_ENV": "\(tree.root)/active", "HOME": "\(tree.root)/home",
      ]
      return CUDALibrarySearch(environment: environment, root: tree.root).pythonFolders.flatMap {
        (try? FileManager.default.contentsOfDirectory(atPath: "\($0)/nvidia")) ?? []
      }
    }
    #expect(holders("/bin") == ["a", "b", "d"])
    #expect(holders("/home/.pyenv/shims") == ["a", "c", "d"])
  }

  @Test func aNamedFileIsTheOnlyOne() throws {
    let search = CUDALibrarySearch(environment: ["MARTLET_CUDNN": "/elsewhere/libcudnn.so.9"])
    #expect(search.candidates(for: .cudnn) == ["/elsewhere/libcudnn.so.9"])
    #expect(search.places(for: .cudnn) == "/elsewhere/libcudnn.so.9, which MARTLET_CUDNN names")
  }
}
