/// One of the shared libraries of CUDA that are loaded at run time.
public enum CUDALibrary: String, CaseIterable, Sendable {
  case driver, nvrtc, cublasLt, cudnn

  /// The name for people.
  public var title: String {
    switch self {
    case .driver: "the driver"
    case .nvrtc: "NVRTC"
    case .cublasLt: "cuBLASLt"
    case .cudnn: "cuDNN"
    }
  }

  /// The environment variable that names a file to load in place of those that are looked for.
  public var variable: String {
    switch self {
    case .driver: "MARTLET_CUDA_DRIVER"
    case .nvrtc: "MARTLET_NVRTC"
    case .cublasLt: "MARTLET_CUBLASLT"
    case .cudnn: "MARTLET_CUDNN"
    }
  }

  /// The names of the files that will do, newest first. Those of the toolkit carry the major version of CUDA.
  var fileNames: [String] {
    switch self {
    case .driver: ["libcuda.so.1"]
    case .nvrtc: CUDACompatibility.majors.map { "libnvrtc.so.\($0)" }
    case .cublasLt: CUDACompatibility.majors.map { "libcublasLt.so.\($0)" }
    case .cudnn: ["libcudnn.so.\(CUDACompatibility.cudnnMajor)"]
    }
  }

  /// What its absence means.
  public var consequence: String {
    switch self {
    case .driver, .nvrtc: "nothing runs on the GPU"
    case .cublasLt: "products, convolutions and pooling are generated code, which is many times slower"
    case .cudnn: "convolutions and pooling are generated code, which is many times slower"
    }
  }

  /// How to get it.
  public var remedy: String {
    let origin =
      switch self {
      case .driver: "install NVIDIA's driver, \(CUDACompatibility.oldest.driver) or later"
      case .nvrtc: "install the CUDA toolkit or the Python package nvidia-cuda-nvrtc"
      case .cublasLt: "install the CUDA toolkit or the Python package nvidia-cublas"
      case .cudnn: "install cuDNN 9 or the Python package nvidia-cudnn-cu13 (-cu12 for CUDA 12)"
      }
    return "\(origin), or name the file in \(variable)"
  }
}
