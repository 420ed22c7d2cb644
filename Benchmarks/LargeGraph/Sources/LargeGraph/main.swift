let count = CommandLine.arguments.dropFirst().first.flatMap { Int($0) } ?? 1_000_000
try Chain(count: max(count, 1)).run()
