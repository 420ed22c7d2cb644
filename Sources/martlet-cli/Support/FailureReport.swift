import ArgumentParser
import Foundation
import Martlet

/// Does a command's work; what it throws is written to standard error, and the command ends with status 1.
func reportingFailure(_ work: () throws -> Void) throws {
  do {
    try work()
  } catch let error as Diagnostic {
    try fail("\(error)")
  } catch let error as DiagnosticList {
    try fail("\(error)")
  } catch let error as ExitCode {
    throw error
  } catch let error as ValidationError {
    throw error
  } catch {
    try fail("error: \(error)")
  }
}

private func fail(_ text: String) throws -> Never {
  printMessage(text)
  throw ExitCode.failure
}

/// Writes a line to standard error.
func printMessage(_ text: String) { FileHandle.standardError.write(Data("\(text)\n".utf8)) }
