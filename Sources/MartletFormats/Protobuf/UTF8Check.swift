/// Whether bytes are UTF-8 without a NUL, which is what libprotobuf-c can hold as a string.
func isCleanUTF8(_ bytes: UnsafeRawBufferPointer) -> Bool {
  var isASCII = true
  for byte in bytes where byte == 0 || byte >= 0x80 {
    if byte == 0 { return false }
    isASCII = false
  }
  return isASCII || String(validating: bytes, as: UTF8.self) != nil
}
