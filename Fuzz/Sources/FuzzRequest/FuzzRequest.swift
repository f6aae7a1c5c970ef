import HTTPServer

/// The parser of requests: the same bytes, whole and in pieces, must give the same requests, and whatever it gives must
/// be within its bounds.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    let bytes = UnsafeRawBufferPointer(start: start, count: count)
    // The first byte chooses the size of the pieces.
    guard let first = bytes.first else { return 0 }
    let input = UnsafeRawBufferPointer(rebasing: bytes.dropFirst())
    let whole = outcomes(input, pieces: max(1, input.count))
    let piecewise = outcomes(input, pieces: Int(first) % 64 + 1)
    precondition(whole == piecewise, "the same bytes in pieces are other requests")
    return 0
}

private func outcomes(_ input: UnsafeRawBufferPointer, pieces: Int) -> [HTTPRequestParser.Outcome] {
    var parser = HTTPRequestParser(peer: "192.0.2.1")
    var found: [HTTPRequestParser.Outcome] = []
    for start in stride(from: 0, to: input.count, by: pieces) {
        parser.append(UnsafeRawBufferPointer(rebasing: input[start..<min(start + pieces, input.count)]))
        reading: while true {
            let outcome = parser.next()
            switch outcome {
            case .needsMore: break reading
            case .request(let request):
                precondition(request.body.count <= 1 << 20, "a body beyond the bound")
                // Not hasPrefix: a slash and a combining mark are one character.
                precondition(
                    request.path.utf8.first == UInt8(ascii: "/") || request.path == "*", "a path without a slash")
                _ = request.queryItems
                _ = request.headers.all
                found.append(outcome)
            // Whether it is told depends on where the pieces end.
            case .sendContinue: break
            case .failed:
                found.append(outcome)
                return found
            }
        }
    }
    return found
}
