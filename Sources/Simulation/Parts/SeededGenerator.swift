/// SplitMix64: a stream of numbers that one seed determines, on every machine and in every version.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number in `range`, by multiplication: the standard library's way may change between versions.
    public mutating func number(in range: ClosedRange<Int>) -> Int {
        let width = UInt64(range.upperBound - range.lowerBound) + 1
        return range.lowerBound + Int(next().multipliedFullWidth(by: width).high)
    }

    /// True once in `times`.
    public mutating func oneIn(_ times: Int) -> Bool { number(in: 1...times) == 1 }

    /// A duration in milliseconds of `range`.
    public mutating func milliseconds(in range: ClosedRange<Int>) -> Duration { .milliseconds(number(in: range)) }
}
