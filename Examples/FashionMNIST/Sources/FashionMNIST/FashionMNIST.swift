import ArgumentParser
import Foundation
import Martlet

/// Trains a small network on pictures of clothes, draws it, saves it, loads it again and checks that nothing was lost.
@main
struct FashionMNIST: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "FashionMNIST",
    abstract: "Trains a convolutional network on Fashion-MNIST, or on another data set in the same format.")

  @Option(help: "The folder with the four IDX files.")
  var data = "/usr/share/datasets/fashion-mnist"
  @Option(help: "The folder for graph.dot, graph.svg and model.pb.")
  var output = "out"
  @Option(help: "How often each training image is seen.")
  var epochs = 4
  @Option(help: "The images in one step of training.")
  var batchSize = 100
  @Option(help: "The length of the first step.")
  var learningRate: Float = 0.002
  @Option(help: "The seed of the order of the images.")
  var seed: UInt64 = 1

  func validate() throws {
    guard epochs > 0, batchSize > 0 else { throw ValidationError("Epochs and batch size must be greater than 0.") }
  }

  func run() throws {
    let training = try DataSet(folder: data, part: "train")
    let test = try DataSet(folder: data, part: "t10k")
    guard training.count >= batchSize else { throw ValidationError("There are fewer images than a batch has.") }
    report("\(training.count) images to train with, \(test.count) to test with, from \(data)")

    let classes = Int(training.labels.scalars(as: Int32.self).max() ?? 0) + 1
    let model = Classifier(height: training.images.shape[1], width: training.images.shape[2], classes: classes)
    let session = try Session(model.graph)
    try session.run(model.graph.initializer)

    try train(model, session, training)
    let accuracy = try accuracy(test) { try session.run(model.predictions, feeds: [model.images: $0]) }
    report("test accuracy \(String(format: "%.4f", accuracy))")

    try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
    try draw(session)
    // The variables' values become constants, so that the file is all that is needed to classify.
    try session.saveFrozen("\(output)/model.pb", outputs: [model.predictions])
    try check("\(output)/model.pb", test, accuracy)
    let files = ["graph.dot", "graph.svg", "model.pb"].filter {
      FileManager.default.fileExists(atPath: "\(output)/\($0)")
    }
    report("wrote \(files.joined(separator: ", ")) to \(output)")
  }

  private func train(_ model: Classifier, _ session: Session, _ data: DataSet) throws {
    // What is fetched, run and fed is settled once: the call in the loop does only the step.
    let step = try session.makeCallable(
      fetches: [model.loss, model.accuracy], targets: [model.train], feeds: [model.images, model.labels, model.rate])
    var generator = SplitMix64(state: seed)
    var order = Array(0..<data.count)
    let steps = data.count / batchSize
    let start = ContinuousClock.now
    for epoch in 1...epochs {
      order.shuffle(using: &generator)
      var progress = ProgressBar("epoch \(epoch)/\(epochs)", total: steps)
      var (loss, accuracy) = (0.0, 0.0)
      for i in 0..<steps {
        let batch = data.batch(order[i * batchSize..<(i + 1) * batchSize])
        // Steps get shorter towards the end, and come to rest.
        let remaining = 1 - Float((epoch - 1) * steps + i) / Float(epochs * steps)
        let results = try step(batch.images, batch.labels, Tensor(remaining * learningRate))
        loss += Double(results[0].item(as: Float.self))
        accuracy += Double(results[1].item(as: Float.self))
        progress.update(i + 1, String(format: "loss %.4f", loss / Double(i + 1)))
      }
      progress.finish()
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      let means = String(format: "loss %.4f  accuracy %.4f", loss / Double(steps), accuracy / Double(steps))
      report("epoch \(epoch)/\(epochs)  \(means)  \(String(format: "%.1f", seconds)) s")
    }
  }

  /// Prints a line at once, wherever it goes.
  private func report(_ line: String) {
    print(line)
    fflush(nil)
  }

  /// The share of images that `classify`, which maps images to classes, gets right.
  private func accuracy(_ data: DataSet, _ classify: (Tensor) throws -> Tensor) throws -> Double {
    var correct = 0
    for start in stride(from: 0, to: data.count, by: 1000) {
      let batch = data.batch(Array(start..<min(start + 1000, data.count))[...])
      let predictions = try classify(batch.images).scalars(as: Int64.self)
      correct += zip(predictions, batch.labels.scalars(as: Int32.self)).count { $0 == Int64($1) }
    }
    return Double(correct) / Double(data.count)
  }

  /// Writes the graph in Graphviz's language, and as a picture if Graphviz is there.
  private func draw(_ session: Session) throws {
    try session.writeDOT("\(output)/graph.dot")
    let dot = Process()
    dot.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    dot.arguments = ["dot", "-Tsvg", "-o", "\(output)/graph.svg", "\(output)/graph.dot"]
    try dot.run()
    dot.waitUntilExit()
    if dot.terminationStatus != 0 { report("graph.svg is missing: Graphviz's dot could not draw it") }
  }

  /// Loads the saved model as another program would, and classifies the same images with it.
  private func check(_ path: String, _ test: DataSet, _ expected: Double) throws {
    let graph = try Graph(loading: path)
    guard let images = graph.output(named: "images"), let predictions = graph.output(named: "predictions") else {
      throw Diagnostic("\(path) lacks its input or its output")
    }
    let session = try Session(graph)
    let accuracy = try accuracy(test) { try session.run(predictions, feeds: [images: $0]) }
    report("test accuracy of the reloaded model \(String(format: "%.4f", accuracy))")
    guard accuracy == expected else {
      throw Diagnostic("the reloaded model classifies otherwise", required: "\(expected)", found: "\(accuracy)")
    }
  }
}
