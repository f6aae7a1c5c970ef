import Testing

@testable import HTTPServer

/// SplitMix64: the same seed, the same bytes.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

@Suite struct ParserRandomTests {
    /// Statuses and paths, in order: what a client can tell. Whether `100 Continue` is sent may depend on the cuts.
    private func trace(_ outcomes: [HTTPRequestParser.Outcome]) -> [String] {
        outcomes.compactMap { outcome in
            switch outcome {
            case .needsMore, .sendContinue: nil
            case .request(let request): "\(request.method) \(request.target) \(request.body)"
            case .failed(let error): "\(error.status)"
            }
        }
    }

    /// Requests with a few bytes changed, removed or doubled: the parser survives them, and makes the same of them
    /// however they are cut.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func damagedRequestsMeanTheSameHoweverTheyAreCut(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let bytes: [UInt8] = [0, 9, 10, 13, 32, 37, 44, 47, 48, 58, 59, 63, 65, 127, 200]
        for _ in 0..<20 {
            var text: [UInt8] = []
            for _ in 0..<3 {
                text += Array((ParserTests.good.randomElement(using: &generator)?.text ?? "").utf8)
            }
            for _ in 0..<Int.random(in: 0...4, using: &generator) {
                let index = text.indices.randomElement(using: &generator) ?? 0
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: text[index] = bytes.randomElement(using: &generator) ?? 0
                case 1: text.remove(at: index)
                default: text.insert(contentsOf: text[index...].prefix(9), at: index)
                }
            }
            let whole = trace(outcomes(text, step: text.count))
            let cut = trace(outcomes(text, step: Int.random(in: 1...40, using: &generator)))
            #expect(whole == cut, "seed \(seed): \(String(decoding: text, as: UTF8.self).debugDescription)")
        }
    }
}
