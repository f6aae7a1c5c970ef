/// A date and time of day as people and the DCS write it: ISO 8601 basic or extended (rest-api.md §12.4).
public struct Timestamp: Sendable, Hashable {
    /// Of the instant; where no offset was given, as if it had been UTC.
    public let nanosecondsSinceEpoch: Int64
    /// Minutes east of UTC.
    public let offsetMinutes: Int
    /// Whether the text said how far from UTC it is.
    public let hasOffset: Bool

    public init(nanosecondsSinceEpoch: Int64, offsetMinutes: Int = 0) {
        self.nanosecondsSinceEpoch = nanosecondsSinceEpoch
        self.offsetMinutes = offsetMinutes
        hasOffset = true
    }

    /// Reads `2031-01-01T10:00:00.5+02:00`, `20310101T100000Z`, `2031-01-01 10:00 +02`, `2031-01-01`; nil for what is
    /// none.
    public init?(_ text: String) {
        var reader = Reader(text)
        reader.skipBlanks()
        guard let year = reader.number(digits: 4), Timestamp.years.contains(year) else { return nil }
        let extended = reader.skip("-")
        guard let month = reader.number(digits: 2), (1...12).contains(month), !extended || reader.skip("-"),
            let day = reader.number(digits: 2), (1...Timestamp.days(in: month, of: year)).contains(day)
        else { return nil }
        var time = (hour: 0, minute: 0, second: 0, nanosecond: 0)
        if reader.skip("T") || reader.skip("t") || reader.skip(" ") {
            guard let clock = reader.clock() else { return nil }
            time = clock
        }
        guard let offset = reader.offset() else { return nil }
        reader.skipBlanks()
        if !reader.isAtEnd { return nil }
        let seconds =
            Timestamp.daysSinceEpoch(year, month, day) * 86_400 + time.hour * 3600 + time.minute * 60 + time.second
            - (offset.minutes ?? 0) * 60
        nanosecondsSinceEpoch = Int64(seconds) * 1_000_000_000 + Int64(time.nanosecond)
        offsetMinutes = offset.minutes ?? 0
        hasOffset = offset.minutes != nil
    }

    /// How long ago it was at `wallTime` (nanoseconds since the epoch); negative before it. Times are read from
    /// requests of anybody: what an Int64 of nanoseconds does not hold is cut.
    public func lateness(at wallTime: Int64) -> Duration {
        BootInstant(nanoseconds: wallTime) - BootInstant(nanoseconds: nanosecondsSinceEpoch)
    }

    /// Whether what was to be done then is done no more: a turn of the loop has passed, and half of another.
    public func isMissed(at wallTime: Int64, _ timings: ClusterTimings) -> Bool {
        lateness(at: wallTime) > timings.loopWait * 3 / 2
    }

    /// Those whose nanoseconds an Int64 holds, whatever the offset.
    private static let years = 1700...2261

    /// `2031-01-01T10:00:00.500000+02:00`; six digits of fraction, only where it is not zero.
    public var text: String { render(separator: "T") }

    /// The text with another separator between date and time.
    public func render(separator: String) -> String {
        let local = nanosecondsSinceEpoch + Int64(offsetMinutes) * 60_000_000_000
        let seconds = Int(local.dividingFloored(by: 1_000_000_000))
        let microseconds = Int((local - Int64(seconds) * 1_000_000_000) / 1000)
        let day = Int(Int64(seconds).dividingFloored(by: 86_400))
        let (year, month, dayOfMonth) = Timestamp.date(daysSinceEpoch: day)
        let inDay = seconds - day * 86_400
        let fraction = microseconds == 0 ? "" : "." + padded(microseconds, 6)
        let sign = offsetMinutes < 0 ? "-" : "+"
        let offset = sign + padded(abs(offsetMinutes) / 60, 2) + ":" + padded(abs(offsetMinutes) % 60, 2)
        let date = padded(year, 4) + "-" + padded(month, 2) + "-" + padded(dayOfMonth, 2)
        let time = padded(inDay / 3600, 2) + ":" + padded(inDay / 60 % 60, 2) + ":" + padded(inDay % 60, 2)
        return date + separator + time + fraction + offset
    }

    // Days from a civil date and back, by eras of 400 years (the proleptic Gregorian calendar).
    private static func daysSinceEpoch(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    private static func date(daysSinceEpoch days: Int) -> (Int, Int, Int) {
        let shifted = days + 719_468
        let era = Int(Int64(shifted).dividingFloored(by: 146_097))
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }

    private static func days(in month: Int, of year: Int) -> Int {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }
}

private func padded(_ number: Int, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
}

extension Int64 {
    fileprivate func dividingFloored(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}

/// Reads a timestamp from left to right.
private struct Reader {
    private let bytes: [UInt8]
    private var at = 0

    init(_ text: String) { bytes = Array(text.utf8) }

    var isAtEnd: Bool { at == bytes.count }

    mutating func skip(_ character: Character) -> Bool {
        guard at < bytes.count, bytes[at] == character.asciiValue else { return false }
        at += 1
        return true
    }

    mutating func skipBlanks() { while skip(" ") {} }

    /// Letters up to the end, in lower case: the name of a time zone.
    private mutating func zoneName() -> String? {
        let rest = bytes[at...].prefix { $0 != 0x20 }
        guard !rest.isEmpty, rest.allSatisfy({ (0x61...0x7A).contains($0 | 0x20) }) else { return nil }
        at += rest.count
        return String(decoding: rest.map { $0 | 0x20 }, as: UTF8.self)
    }

    mutating func number(digits: Int) -> Int? {
        guard at + digits <= bytes.count else { return nil }
        let part = bytes[at..<at + digits]
        guard part.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        at += digits
        return part.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    mutating func clock() -> (hour: Int, minute: Int, second: Int, nanosecond: Int)? {
        guard let hour = number(digits: 2), hour < 24 else { return nil }
        let extended = skip(":")
        guard let minute = number(digits: 2), minute < 60 else { return nil }
        var second = 0
        if extended ? skip(":") : (at < bytes.count && (0x30...0x39).contains(bytes[at])) {
            guard let value = number(digits: 2), value <= 60 else { return nil }
            second = value
        }
        guard skip(".") || skip(",") else { return (hour, minute, second, 0) }
        var nanosecond = 0
        var place = 100_000_000
        var count = 0
        while let digit = number(digits: 1) {
            nanosecond += digit * place
            place /= 10
            count += 1
        }
        return count == 0 ? nil : (hour, minute, second, nanosecond)
    }

    /// The offset's minutes, nil inside where there is none; nil outside for junk.
    mutating func offset() -> (minutes: Int?, Void)? {
        skipBlanks()
        if isAtEnd { return (nil, ()) }
        if skip("Z") || skip("z") { return (0, ()) }
        if let zone = zoneName() { return (zone == "utc" || zone == "gmt" ? 0 : nil, ()) }
        let sign = skip("+") ? 1 : skip("-") ? -1 : 0
        guard sign != 0, let hours = number(digits: 2), hours <= 18 else { return nil }
        if isAtEnd || bytes[at] == 0x20 { return (sign * hours * 60, ()) }
        _ = skip(":")
        guard let minutes = number(digits: 2), minutes < 60 else { return nil }
        return (sign * (hours * 60 + minutes), ())
    }
}
