import ClusterModel

/// A question that fails again and again: how often it is asked, and how often that is told. Pure.
struct Trouble: Sendable {
    /// Between two questions while they fail: at first, and where they have failed for so often that they leave more in
    /// the server's log than they are worth.
    static let pause = Duration.seconds(1)
    static let longerPause = Duration.seconds(5)
    static let failuresAtFirst = 30
    /// Between two lines of the log that say the same.
    static let reminder = Duration.seconds(60)
    /// Texts that are remembered; a text that changes with every failure must not fill the memory.
    static let maximum = 8

    private var told: [(text: String, at: BootInstant)] = []
    private var nextAt: BootInstant?
    private var failures = 0

    var isThere: Bool { nextAt != nil }

    /// Whether the question may be asked at `now`.
    func isDue(at now: BootInstant) -> Bool { nextAt.map { now >= $0 } ?? true }

    /// It has failed; whether that is to be told.
    mutating func fails(_ text: String, at now: BootInstant) -> Bool {
        failures += 1
        nextAt = now + (failures < Self.failuresAtFirst ? Self.pause : Self.longerPause)
        told.removeAll { now - $0.at >= Self.reminder }
        if told.contains(where: { $0.text == text }) { return false }
        if told.count == Self.maximum { told.removeFirst() }
        told.append((text, now))
        return true
    }

    /// It was answered; whether its end is to be told.
    mutating func ends() -> Bool {
        defer { self = Trouble() }
        return isThere
    }
}
