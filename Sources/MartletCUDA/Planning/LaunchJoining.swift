import MartletScheduling

/// Puts small kernels of a segment that do not need each other into one launch.
///
/// A launch in a recorded graph takes about two microseconds however little it does, and a kernel of few blocks hardly more:
/// ten of them in one launch take the time of one. Steps are looked at in the order in which they could start. A small
/// kernel waits until something needs it, or the segment ends; then it is launched with the others that wait, as far as they
/// could have started by then. The updates of a model's variables, which nothing in the run needs, so come together at the end.
struct LaunchJoining {
  /// Of one launch; a kernel's arguments take at most 4 KiB, two of them are not arrays.
  private static let mostArrays = 500
  /// By how many nanoseconds a launch may be put off so that another joins it: what that one's own would take.
  private static let patience = 2000

  private let plan: ExecutionPlan
  private let device: CUDADevice
  private let steps: [DeviceStep]
  /// For each step those that it needs, and when it could start and end if streams were many.
  private var needed: [Set<Int>] = []
  private var starts: [Int] = []
  private var ends: [Int] = []

  /// Small kernels that wait, none of which needs another, in the order of the steps.
  private var waiting: [Int] = []
  private var result: [DeviceStep] = []
  /// The kernels of each launch of several; a list is there once.
  private var joined: [[Int]]

  /// - Parameter joined: the lists of kernels that have been joined; new ones are added. Steps have their numbers.
  static func join(
    _ steps: [DeviceStep], of plan: ExecutionPlan, for device: CUDADevice, joined: inout [[Int]]
  ) -> [DeviceStep] {
    var joining = LaunchJoining(plan, device, steps, joined)
    guard steps.indices.count(where: { joining.isSmall($0) }) > 1 else { return steps }
    joining.run()
    // Without a launch that is saved the plan's order is as good as any.
    guard joining.result.count < steps.count else { return steps }
    joined = joining.joined
    return joining.result
  }

  private init(_ plan: ExecutionPlan, _ device: CUDADevice, _ steps: [DeviceStep], _ joined: [[Int]]) {
    (self.plan, self.device, self.steps, self.joined) = (plan, device, steps, joined)
  }

  private mutating func run() {
    var dependences = StepDependences()
    for (number, step) in steps.enumerated() {
      let before = dependences.add(step, number: number)
      needed.append(before)
      starts.append(before.reduce(0) { max($0, ends[$1]) })
      ends.append(starts[number] + step.cost)
    }
    for number in steps.indices.sorted(by: { (starts[$0], $0) < (starts[$1], $1) }) {
      let demanded = waiting.filter { needed[number].contains($0) }
      if !demanded.isEmpty { launch(demanded) }
      if isSmall(number) { waiting.append(number) } else { result.append(steps[number]) }
    }
    launch(waiting)
  }

  /// Whether a step is a kernel that leaves most of the device idle, and can be joined with others. What it finds wrong would
  /// be the whole launch's.
  private func isSmall(_ number: Int) -> Bool { smallKernel(number) != nil }

  private func smallKernel(_ number: Int) -> CUDAKernel? {
    guard case .kernel(let kernel) = steps[number].action, !plan.kernels[kernel].canFail,
      let code = (plan.kernels[kernel].code as? CUDACode)?.kernel, code.isJoinable, code.launches.count == 1,
      code.launches[0].blocks <= device.multiprocessors
    else { return nil }
    return code
  }

  /// Launches what is demanded, with what else waits and would not hold it up.
  private mutating func launch(_ demanded: [Int]) {
    let latest = demanded.reduce(0) { max($0, starts[$1]) } + Self.patience
    let rest = Set(demanded)
    let all = demanded + waiting.filter { !rest.contains($0) && starts[$0] <= latest }
    var group: [Int] = []
    var (arrays, blocks) = (0, 0)
    for (place, number) in all.enumerated() {
      guard let kernel = smallKernel(number) else { preconditionFailure("a step that cannot be joined waits") }
      let more = (kernel.inputs.count + kernel.outputs.count, kernel.launches[0].blocks)
      // Four blocks of 256 threads with 64 registers fit a multiprocessor.
      let isFull = arrays + more.0 > Self.mostArrays || blocks + more.1 > 4 * device.multiprocessors
      if isFull, !group.isEmpty {
        emit(group)
        (group, arrays, blocks) = ([], 0, 0)
        if place >= demanded.count { return }
      }
      group.append(number)
      (arrays, blocks) = (arrays + more.0, blocks + more.1)
    }
    if !group.isEmpty { emit(group) }
  }

  /// One step for several, which wait no longer.
  private mutating func emit(_ group: [Int]) {
    let group = group.sorted()
    waiting.removeAll { group.contains($0) }
    guard group.count > 1 else { return result.append(steps[group[0]]) }
    let kernels = group.map { number in
      guard case .kernel(let kernel) = steps[number].action else { preconditionFailure("a step that is no kernel") }
      return kernel
    }
    let place = joined.firstIndex(of: kernels) ?? joined.count
    if place == joined.count { joined.append(kernels) }
    var step = DeviceStep(action: .joined(place), instruction: steps[group[0]].instruction)
    step.others = group.dropFirst().compactMap { steps[$0].instruction }
    let counts = kernels.map { (plan.kernels[$0].code as? CUDACode)?.kernel.inputs.count ?? 0 }
    for (number, count) in zip(group, counts) { step.slots += steps[number].slots.prefix(count) }
    for (number, count) in zip(group, counts) { step.slots += steps[number].slots.dropFirst(count) }
    step.reads = group.flatMap { steps[$0].reads }
    step.writes = group.flatMap { steps[$0].writes }
    // The starts of all but one are saved.
    step.cost = group.reduce(0) { $0 + steps[$1].cost } - (group.count - 1) * DeviceCost.start
    result.append(step)
  }
}
