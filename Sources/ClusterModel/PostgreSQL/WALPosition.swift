/// A position in the write-ahead log: bytes since the beginning of time of the cluster, as PostgreSQL's `pg_lsn`.
/// Positions of different timelines can be compared only up to the point where the timelines part.
public struct WALPosition: Sendable, Hashable, Comparable {
    /// Bytes.
    public let bytes: UInt64

    /// The position before the first byte; PostgreSQL's "invalid" position `0/0`.
    public static let zero = WALPosition(0)

    public init(_ bytes: UInt64) { self.bytes = bytes }

    /// Reads `16/B374D848`; nil for anything else.
    public init?(_ text: some StringProtocol) {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, halves.allSatisfy({ (1...8).contains($0.utf8.count) }),
            let high = UInt64(halves[0], radix: 16), let low = UInt64(halves[1], radix: 16),
            !text.contains("+"), !text.contains("-")
        else { return nil }
        bytes = high << 32 | low
    }

    /// Reads the integers of member keys and `/status` (dcs.md §2.3, §2.5), also as text; nil for junk and for less
    /// than 0.
    public init?(json: JSONValue?) {
        switch json {
        case .int(let value)? where value >= 0: bytes = UInt64(value)
        case .string(let text)?:
            guard let value = UInt64(text) else { return nil }
            bytes = value
        default: return nil
        }
    }

    public static func < (left: WALPosition, right: WALPosition) -> Bool { left.bytes < right.bytes }

    /// How many bytes `left` is ahead of `right`; negative when it is behind. Positions come from other members and
    /// from the store: a distance that an Int64 does not hold is cut, so that far behind never looks like ahead.
    public static func - (left: WALPosition, right: WALPosition) -> Int64 {
        left >= right ? Int64(clamping: left.bytes - right.bytes) : -Int64(clamping: right.bytes - left.bytes)
    }

    /// The integer that the DCS and the REST API carry.
    public var json: JSONValue { .int(Int64(clamping: bytes)) }
}

extension WALPosition: CustomStringConvertible {
    /// `16/B374D848`: upper case, no padding.
    public var description: String {
        String(bytes >> 32, radix: 16, uppercase: true) + "/" + String(bytes & 0xFFFF_FFFF, radix: 16, uppercase: true)
    }
}

/// The number of a timeline; PostgreSQL begins at 1 and only grows (S10).
public typealias TimelineID = UInt32
