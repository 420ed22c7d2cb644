import MartletGraph
import Synchronization

/// A convolution by cuDNN with its images as they lie, or with images transposed to have channels first, whichever takes less
/// time: without tensor cores, what cuDNN has for images with channels last may be slow.
final class CUDAConvolutionLayouts: CUDALibraryExecution, @unchecked Sendable {
  private let convolution: Convolution
  private let context: CUDAContext
  private let options: CUDALibraryOptions
  private let choices: CUDAChoices?
  private let transposed: () -> CUDATransposedConvolution?
  private let choice: Mutex<Choice>

  private struct Choice {
    var execution: any CUDALibraryExecution
    var isFinal: Bool
  }

  /// Nil where cuDNN does it in neither way.
  init?(
    _ convolution: Convolution, _ owner: CuDNNHandle, _ cublasLt: CublasLtHandle, _ options: CUDALibraryOptions,
    _ choices: CUDAChoices?
  ) {
    (self.convolution, self.options, self.choices) = (convolution, options, choices)
    context = owner.context
    transposed = { CUDATransposedConvolution(convolution, owner, cublasLt, options, choices) }
    if let direct = CUDAConvolutionExecution(convolution, owner, cublasLt, options, choices) {
      let isOnly = convolution.isChannelsFirst || !options.measures || options.isDeterministic
      choice = Mutex(Choice(execution: direct, isFinal: isOnly))
    } else if !convolution.isChannelsFirst, let transposed = transposed() {
      choice = Mutex(Choice(execution: transposed, isFinal: true))
    } else {
      return nil
    }
  }

  /// - Parameter isMeasured: Whether both may be timed.
  private func chosen(isMeasured: Bool = true) -> any CUDALibraryExecution {
    // Captures take the locks in this order.
    context.exclusively {
      choice.withLock { choice in
        if choice.isFinal { return choice.execution }
        choice.isFinal = true
        if isMeasured, let better = better(than: choice.execution) { choice.execution = better }
        return choice.execution
      }
    }
  }

  /// The transposed convolution, if it takes less time, in this process or in one before.
  private func better(than direct: any CUDALibraryExecution) -> (any CUDALibraryExecution)? {
    let contract = LibraryContract.convolution(convolution)
    let kept = choices?.kept("layout", contract)
    if kept == [0] { return nil }
    guard let other = transposed() else { return nil }
    if kept == [1] { return other }
    guard let time = milliseconds(direct), let otherTime = milliseconds(other) else { return nil }
    choices?.forget("layout", contract)
    choices?.keep([otherTime < time ? 1 : 0], "layout", contract)
    return otherTime < time ? other : nil
  }

  /// The time of a call; nil where memory to find it out is short.
  private func milliseconds(_ execution: any CUDALibraryExecution) -> Double? {
    let slots = convolution.slotBytes + [execution.scratchBytes]
    var found: Double?
    try? CUDATrial.run(context, slots) { (stream, slots) throws(CUDAFailure) in
      found = try stream.milliseconds { () throws(CUDAFailure) in try execution.enqueue(on: stream, slots) }
    }
    return found
  }

  var scratchBytes: Int { chosen().scratchBytes }

  func binding(_ constants: [Int: UInt64], on stream: CUDAStream) throws(CUDAFailure) -> any CUDALibraryExecution {
    try chosen().binding(constants, on: stream)
  }

  func enqueue(on stream: CUDAStream, _ slots: [UInt64]) throws(CUDAFailure) {
    // What is recorded cannot be timed.
    try chosen(isMeasured: !stream.isCapturing).enqueue(on: stream, slots)
  }
}

extension Convolution {
  /// The bytes of operands and result; 0 for sizes, which are not read.
  var slotBytes: [Int] {
    let width = elementType.byteWidth
    let image = batch * inputHeight * inputWidth * inputChannels * width
    let result = batch * outputHeight * outputWidth * outputChannels * width
    let filter = kernelHeight * kernelWidth * (isDepthwise ? 1 : inputChannels) * outputChannels * width
    switch role {
    case .forward:
      return [image, filter] + (epilogue.hasBias ? [outputChannels * width] : [])
        + (epilogue.hasResidual ? [result] : []) + [result]
    case .backwardData: return [0, filter, result, image]
    case .backwardFilter: return [image, 0, result, filter]
    }
  }
}
